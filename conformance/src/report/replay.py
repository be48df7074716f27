#!/usr/bin/env python3
"""Plays recorded MQTT packets against a broker: python3 replay.py HOST [PORT]

Rule {{KEY}}: {{RULE}}
Recorded: {{SEEN}}

Exit status: 1 the broker does what was recorded, so the rule is broken; 0 it does something else; 2 no connection.
Needs nothing but Python 3. A packet counts as recorded if its type is the same; other bytes are shown.
"""
import socket
import struct
import sys
import time

PATIENCE = 5.0
STEPS = [
    # {{STEPS}}
]


class Ended(Exception):
    pass


class Connection:
    def __init__(self, address):
        self.socket = socket.create_connection(address, timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.closed = False

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # What became of the connection shows where something is received.

    def more(self, deadline):
        self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            raise Ended("RST")
        if not data:
            raise Ended("FIN")
        self.buffer += data

    def frame(self, deadline):
        """The next whole packet; TimeoutError if none comes in time."""
        while True:
            length, shift = 0, 0
            for index, byte in enumerate(self.buffer[1:5], start=2):
                length |= (byte & 0x7F) << shift
                shift += 7
                if not byte & 0x80:
                    if len(self.buffer) >= index + length:
                        frame = self.buffer[:index + length]
                        self.buffer = self.buffer[index + length:]
                        return frame
                    break
            self.more(deadline)

    def close(self, how):
        if how == "RST":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.socket.close()
            self.closed = True
        else:
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass


def main():
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    address = (sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1883)
    connections, differences = {}, 0

    def differs(what):
        nonlocal differences
        differences += 1
        print("   !", what)

    for step in STEPS:
        verb = step[0]
        if verb == "wait":
            time.sleep(step[1])
            continue
        who = step[1]
        if verb == "open":
            try:
                connections[who] = Connection(address)
            except OSError as error:
                print("no connection to", address, "-", error)
                return 2
            print("    ", who, "opens a connection")
            continue
        connection = connections[who]
        deadline = time.monotonic() + PATIENCE
        if verb == "send":
            print("  ->", who, step[3], "[" + step[2] + "]")
            connection.send(bytes.fromhex(step[2]))
        elif verb == "close":
            print("  ->", who, step[2])
            connection.close(step[2])
        elif verb == "receive":
            wanted = bytes.fromhex(step[2])
            try:
                frame = connection.frame(deadline)
            except Ended as end:
                differs("%s: recorded %s, now %s" % (who, step[3], end))
                break
            except TimeoutError:
                differs("%s: recorded %s, now nothing" % (who, step[3]))
                break
            note = "" if frame == wanted else "  (other bytes than recorded: %s)" % step[2]
            print("  <-", who, step[3], "[" + frame.hex() + "]" + note)
            if frame[0] >> 4 != wanted[0] >> 4:
                differs("%s: recorded %s, now another packet" % (who, step[3]))
                break
        elif verb == "ended":
            try:
                frame = connection.frame(deadline)
                differs("%s: recorded %s, now a packet [%s]" % (who, step[2], frame.hex()))
                break
            except Ended as end:
                connection.closed = True
                print("  <-", who, end)
            except TimeoutError:
                differs("%s: recorded %s, now nothing" % (who, step[2]))
                break

    if not differences:
        # Nothing more was recorded: a close or a packet that comes now is something else.
        deadline = time.monotonic() + 1.0
        for who, connection in connections.items():
            if connection.closed:
                continue
            try:
                differs("%s: nothing more was recorded, now [%s]" % (who, connection.frame(deadline).hex()))
            except Ended as end:
                if not STEPS or STEPS[-1][0] != "close":
                    differs("%s: nothing more was recorded, now %s" % (who, end))
            except (TimeoutError, OSError):
                pass

    if differences:
        print("The broker does not do what was recorded.")
        return 0
    print("The broker does what was recorded. The rule {{KEY}} is broken:")
    print("  {{SEEN}}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
