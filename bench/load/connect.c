/* The way into a server: TCP or unix socket, TLS, login. Nothing waits but client_open. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A connection that is still under way is not writable yet: nobody has to ask whether it is there. */
static int open_socket(const char *text, const struct sockaddr *address, socklen_t length) {
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || (connect(fd, address, length) != 0 && errno != EINPROGRESS))
        fail("cannot connect to %s: %s", text, strerror(errno));
    return fd;
}

static int open_unix(const char *text) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = text + strlen("unix:");
    if (strlen(path) >= sizeof address.sun_path) fail("%s: too long for a unix socket", path);
    strcpy(address.sun_path, path);
    return open_socket(text, (struct sockaddr *)&address, sizeof address);
}

static int open_tcp(const char *text) {
    static struct sockaddr_in address = {.sin_family = AF_INET}; /* all connections go to the same one */
    int on = 1;
    if (!address.sin_port) {
        char host[64];
        const char *colon = strrchr(text, ':');
        if (!colon || (size_t)(colon - text) >= sizeof host) fail("%s: an address is HOST:PORT or unix:PATH", text);
        memcpy(host, text, (size_t)(colon - text));
        host[colon - text] = '\0';
        address.sin_port = htons((uint16_t)atoi(colon + 1));
        if (inet_pton(AF_INET, host, &address.sin_addr) != 1) fail("%s: the host must be an IPv4 address", text);
    }
    int fd = open_socket(text, (struct sockaddr *)&address, sizeof address);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* The server must have the very certificate that it was given: as strict as building a chain, and cheaper. */
static int is_the_one(X509_STORE_CTX *store, void *expected) {
    return X509_cmp(X509_STORE_CTX_get0_cert(store), expected) == 0;
}

SSL_CTX *tls_context(const struct load *load) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    FILE *file = fopen(load->ca, "r");
    X509 *expected = file ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
    if (!context || !expected) fail("cannot read a certificate from %s", load->ca);
    fclose(file);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(context, is_the_one, expected);
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    if (!SSL_CTX_set_ciphersuites(context, load->cipher)) fail("%s: not a TLS 1.3 cipher suite", load->cipher);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context, 1); /* one receive for many records, not two for each */
    if (load->mode == HOLD) SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    return context;
}

void read_logins(struct load *load) {
    char line[512], request[1024];
    FILE *file = fopen(load->login_file, "r");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\r\n")] = '\0';
        char *password = strchr(line, ' ');
        if (!password) fail("%s: a line is \"user password\"", load->login_file);
        *password++ = '\0';
        struct login login = {.length = load->protocol->write_login(request, sizeof request, line, password)};
        login.request = memcpy(malloc(login.length), request, login.length);
        load->logins = realloc(load->logins, (load->login_count + 1) * sizeof login);
        load->logins[load->login_count++] = login;
    }
    if (file) fclose(file);
    if (!load->login_count) fail("cannot read a login from %s", load->login_file);
}

void client_connect(const struct load *load, struct client *client, uint64_t now) {
    bool is_unix = strncmp(load->address, "unix:", 5) == 0;
    client->fd = is_unix ? open_unix(load->address) : open_tcp(load->address);
    client->stage = HANDSHAKING;
    client->opened_ns = now;
    client->oldest = client->in_flight = 0;
    client->output_start = client->output_end = client->input_end = client->body_at = 0;
    client->waits_writable = false;
    if (load->context) {
        client->ssl = SSL_new(load->context);
        SSL_set_fd(client->ssl, client->fd);
    }
}

void client_close(struct client *client) {
    if (client->ssl) {
        SSL_shutdown(client->ssl); /* says goodbye, and does not wait for an answer */
        SSL_free(client->ssl);
        client->ssl = NULL;
    }
    close(client->fd);
}

static bool shake_hands(const struct load *load, struct client *client) {
    int done = SSL_connect(client->ssl);
    if (done == 1) return true;
    int why = SSL_get_error(client->ssl, done);
    client->waits_writable = why == SSL_ERROR_WANT_WRITE;
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
        unsigned long code = ERR_get_error();
        fail("no TLS with %s: %s", load->address, code ? ERR_reason_error_string(code) : "connection lost");
    }
    return false;
}

static void send_login(const struct load *load, struct client *client) {
    const struct login *login = &load->logins[client->number % load->login_count];
    if (client->output_size < login->length) {
        client->output = realloc(client->output, login->length);
        client->output_size = login->length;
    }
    memcpy(client->output, login->request, login->length);
    client->output_end = login->length;
    client->login_sent_ns = now_ns();
    client->stage = LOGGING_IN;
    client_flush(client);
}

bool client_enter(const struct load *load, struct client *client) {
    if (client->stage == HANDSHAKING) {
        if (client->ssl && !shake_hands(load, client)) return false;
        client->waits_writable = false;
        client->stage = READY;
        if (!load->login_file) return true;
        send_login(load, client);
        return false;
    }
    if (client->waits_writable) client_flush(client);
    if (!client_receive(client)) return false;
    enum outcome outcome;
    size_t taken = load->protocol->read_login(client->input, client->input_end, &outcome);
    if (outcome == INCOMPLETE) return false;
    if (outcome != HIT || taken != client->input_end)
        fail("login refused by %s: %.*s", load->address, (int)client->input_end, client->input);
    client->input_end = 0;
    histogram_add(&tally.login, now_ns() - client->login_sent_ns);
    client->stage = READY;
    return true;
}

void client_open(const struct load *load, struct client *client, unsigned number) {
    client->number = number;
    client_connect(load, client, now_ns());
    while (!client_enter(load, client)) {
        struct pollfd wanted = {client->fd, POLLIN | (client->waits_writable ? POLLOUT : 0), 0};
        if (poll(&wanted, 1, (int)(load->patience * 1000)) == 0) fail("%s does not answer", load->address);
    }
}
