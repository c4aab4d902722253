"""Both ends of a SCRAM exchange: the server's with one user, scramp's client, and a client that signs anything."""

import base64
import hashlib
import hmac

import scramp

from mcproxy.auth.mechanisms import Challenge, Failure
from mcproxy.auth.scram import Scram
from mcproxy.auth.verifiers import HASHES, make_verifier, mock_verifier

from .holding import SALTS

BINDING = bytes(range(32))
PASSWORD = "pencil"
PLUS = "SCRAM-SHA-256-PLUS"


def verifiers(mechanism="SCRAM-SHA-256", *passwords):
    return [make_verifier(password, 4096, SALTS[mechanism], mechanism) for password in passwords or (PASSWORD,)]


def begin(name="SCRAM-SHA-256", *passwords, plus_offered=False, **more):
    known = verifiers(name.removesuffix("-PLUS"), *passwords)
    binding = BINDING if name.endswith("-PLUS") else None

    def asked(user, mechanism):
        return known if user == "sammy" else [mock_verifier(user, b"key", mechanism, 4096)]

    return Scram(name, asked, binding=binding, plus_offered=plus_offered, **more)


def client(name="SCRAM-SHA-256", user="sammy", password=PASSWORD, binding=BINDING):
    bound = ("tls-server-end-point", binding) if name.endswith("-PLUS") else None
    return scramp.ScramClient([name], user, password, channel_binding=bound)


def exchange(scram, peer):
    """Up to the Proof."""
    challenge = scram.start(peer.get_client_first().encode())
    assert isinstance(challenge, Challenge), challenge
    peer.set_server_first(challenge.data.decode())
    return scram.step(peer.get_client_final().encode())


def signed(first, challenge, final, mechanism="SCRAM-SHA-256", password=PASSWORD):
    """The final message with the proof that it needs, whatever else is in it."""
    hash_name = HASHES[mechanism]
    salted = hashlib.pbkdf2_hmac(hash_name, password.encode(), SALTS[mechanism], 4096)
    key = hmac.digest(salted, b"Client Key", hash_name)
    message = first.split(b",", 2)[2] + b"," + challenge + b"," + final
    signature = hmac.digest(hashlib.new(hash_name, key).digest(), message, hash_name)
    proof = bytes(one ^ other for one, other in zip(key, signature, strict=True))
    return final + b",p=" + base64.b64encode(proof)


def prove(header, final, name="SCRAM-SHA-256", **more):
    """The outcome of a final message, in which NONCE stands for the right one, after a first one with this header."""
    scram = begin(name, **more)
    first = header + b"n=sammy,r=abc"
    challenge = scram.start(first)
    if isinstance(challenge, Failure):
        return challenge
    nonce = challenge.data.split(b",")[0].removeprefix(b"r=")
    return scram.step(signed(first, challenge.data, final.replace(b"NONCE", nonce)))


def c(data):
    return b"c=" + base64.b64encode(data)
