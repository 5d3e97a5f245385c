"""Peers that answer."""

import selectors
import socket
import threading

from causeway import HOST, HOST_V6


class EchoPeer:
    """Sends every datagram back to where it came from; keeps what it saw."""

    def __init__(self, hosts=(HOST, HOST_V6)):
        self.sockets = {}
        for host in hosts:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_DGRAM)
            sock.bind((host, 0))
            self.sockets[host] = sock
        self.seen = []
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def address(self, host=HOST):
        return self.sockets[host].getsockname()[:2]

    def run(self):
        selector = selectors.DefaultSelector()
        for sock in self.sockets.values():
            selector.register(sock, selectors.EVENT_READ)
        while not self.stopped.is_set():
            for key, _ in selector.select(0.1):
                data, source = key.fileobj.recvfrom(65536)
                self.seen.append(data)
                key.fileobj.sendto(data, source)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()
        for sock in self.sockets.values():
            sock.close()
