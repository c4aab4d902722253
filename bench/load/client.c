/* One connection: opened and logged in while it still blocks, then non-blocking for the load. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int open_unix(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) fail("%s: too long for a unix socket", path);
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        fail("cannot connect to %s: %s", path, strerror(errno));
    return fd;
}

static int open_tcp(const char *text) {
    char host[64];
    const char *colon = strrchr(text, ':');
    struct sockaddr_in address = {.sin_family = AF_INET};
    if (!colon || (size_t)(colon - text) >= sizeof host) fail("%s: an address is HOST:PORT or unix:PATH", text);
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    address.sin_port = htons((uint16_t)atoi(colon + 1));
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) fail("%s: the host must be an IPv4 address", text);
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        fail("cannot connect to %s: %s", text, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

SSL_CTX *tls_context(const struct load *load) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context || !SSL_CTX_load_verify_locations(context, load->ca, NULL)) fail("cannot read %s", load->ca);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    if (!SSL_CTX_set_ciphersuites(context, load->cipher)) fail("%s: not a TLS 1.3 cipher suite", load->cipher);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context, 1); /* one receive for many records, not two for each */
    return context;
}

static void start_tls(const struct load *load, struct client *client, SSL_CTX *context) {
    client->ssl = SSL_new(context);
    SSL_set_fd(client->ssl, client->fd);
    if (strncmp(load->address, "unix:", 5) != 0) X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(client->ssl), "127.0.0.1");
    if (SSL_connect(client->ssl) != 1)
        fail("no TLS with %s: %s", load->address, ERR_reason_error_string(ERR_get_error()));
}

/* The text protocol's token login: the token is stored under any key (protocol.txt, "Authentication"). */
static void log_in(const struct load *load, struct client *client) {
    char token[512], line[640], reply[128];
    FILE *file = fopen(load->login_file, "r");
    if (!file || !fgets(token, sizeof token, file)) fail("cannot read a login from %s", load->login_file);
    fclose(file);
    token[strcspn(token, "\r\n")] = '\0';
    int length = snprintf(line, sizeof line, "set auth 0 0 %zu\r\n%s\r\n", strlen(token), token);
    if (client->ssl)
        SSL_write(client->ssl, line, length);
    else if (write(client->fd, line, (size_t)length) != length)
        fail("cannot send the login to %s", load->address);
    size_t got = 0;
    while (got < sizeof reply - 1 && (got == 0 || reply[got - 1] != '\n')) {
        ssize_t n = client->ssl ? SSL_read(client->ssl, reply + got, (int)(sizeof reply - 1 - got))
                                : read(client->fd, reply + got, sizeof reply - 1 - got);
        if (n <= 0) fail("no reply to the login from %s", load->address);
        got += (size_t)n;
    }
    reply[got] = '\0';
    if (strcmp(reply, "STORED\r\n") != 0) fail("login refused by %s: %s", load->address, reply);
}

void client_open(const struct load *load, struct client *client, SSL_CTX *context, unsigned number) {
    struct timeval patience = {.tv_sec = (time_t)load->patience + 1};
    bool is_unix = strncmp(load->address, "unix:", 5) == 0;
    client->number = number;
    client->flight = calloc(load->pipeline, sizeof *client->flight);
    client->fd = is_unix ? open_unix(load->address + 5) : open_tcp(load->address);
    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (context) start_tls(load, client, context);
    if (load->login_file) log_in(load, client);
    fcntl(client->fd, F_SETFL, O_NONBLOCK);
}

void client_ask(const struct load *load, struct client *client, uint32_t key, bool is_set, uint64_t now_ns) {
    size_t needed = client->output_end + load->protocol->request_size(load, is_set);
    if (needed > client->output_size) {
        client->output_size = needed * 2;
        client->output = realloc(client->output, client->output_size);
        if (!client->output) fail("out of memory");
    }
    client->output_end += load->protocol->write_request(load, client->output + client->output_end, key, is_set);
    unsigned place = client->oldest + client->in_flight++;
    if (place >= load->pipeline) place -= load->pipeline;
    client->flight[place] = (struct request){now_ns, key, is_set};
}

static void lost(const struct client *client, const char *what) {
    fail("connection %u was %s with %u requests in flight", client->number, what, client->in_flight);
}

void client_flush(struct client *client) {
    client->waits_writable = false;
    while (client->output_start < client->output_end) {
        const char *data = client->output + client->output_start;
        size_t length = client->output_end - client->output_start;
        ssize_t n = client->ssl ? SSL_write(client->ssl, data, (int)(length > 1 << 30 ? 1 << 30 : length))
                                : send(client->fd, data, length, MSG_NOSIGNAL);
        if (n <= 0) {
            int why = client->ssl ? SSL_get_error(client->ssl, (int)n) : SSL_ERROR_NONE;
            if (client->ssl ? why != SSL_ERROR_WANT_WRITE && why != SSL_ERROR_WANT_READ : errno != EAGAIN)
                lost(client, "lost while sending");
            client->waits_writable = true;
            return;
        }
        client->output_start += (size_t)n;
    }
    client->output_start = client->output_end = 0;
}

size_t client_receive(struct client *client) {
    char *into = client->input + client->input_end;
    size_t room = INPUT_SIZE - client->input_end;
    ssize_t n = client->ssl ? SSL_read(client->ssl, into, (int)room) : recv(client->fd, into, room, 0);
    if (n <= 0) {
        if (client->ssl ? SSL_get_error(client->ssl, (int)n) != SSL_ERROR_WANT_READ : n == 0 || errno != EAGAIN)
            lost(client, "closed by the server");
        return 0;
    }
    client->input_end += (size_t)n;
    return (size_t)n;
}
