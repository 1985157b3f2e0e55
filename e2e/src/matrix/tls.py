"""Sends back what it gets, over TLS: `tls.py PORT CERTIFICATE-AND-KEY`."""
import socket
import ssl
import sys
import threading

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2])


def serve(stream):
    try:
        with context.wrap_socket(stream, server_side=True) as inner:
            while data := inner.recv(65536):
                inner.sendall(data)
    except OSError:
        pass  # a caller that went away, or that spoke no TLS


with socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
    while True:
        stream, _ = listener.accept()
        threading.Thread(target=serve, args=(stream,), daemon=True).start()
