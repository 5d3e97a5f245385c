"""A small writer of MaxMind's database format (version 2.0), for databases of a few networks."""

import ipaddress
import struct


def write_mmdb(places):
    """The bytes of a database: `places` maps networks of IPv4 to latitude, longitude and country."""
    tree, data = [[None, None]], b""
    for network, (latitude, longitude, country) in places.items():
        network = ipaddress.ip_network(network)
        bits = format(int(network.network_address), "032b")[: network.prefixlen]
        node = 0
        for bit in map(int, bits[:-1]):
            if tree[node][bit] is None:
                tree.append([None, None])
                tree[node][bit] = ("node", len(tree) - 1)
            node = tree[node][bit][1]
        tree[node][int(bits[-1])] = ("data", len(data))
        location = {"latitude": latitude, "longitude": longitude}
        data += encode({"country": {"iso_code": country}, "location": location})

    def value(child):
        if child is None:
            return len(tree)
        kind, number = child
        return number if kind == "node" else len(tree) + 16 + number

    search_tree = b"".join(value(child).to_bytes(3) for node in tree for child in node)
    metadata = {
        "binary_format_major_version": (5, 2),
        "binary_format_minor_version": (5, 0),
        "build_epoch": (9, 1_790_000_000),
        "database_type": "GeoLite2-City",
        "description": {},
        "ip_version": (5, 4),
        "languages": [],
        "node_count": (6, len(tree)),
        "record_size": (5, 24),
    }
    return search_tree + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + encode(metadata)


def encode(value):
    """A value of the data section; an unsigned number is a pair of its type and itself."""
    match value:
        case str():
            return control(2, len(value.encode())) + value.encode()
        case float():
            return control(3, 8) + struct.pack(">d", value)
        case dict():
            pairs = b"".join(encode(key) + encode(inner) for key, inner in value.items())
            return control(7, len(value)) + pairs
        case list():
            return control(11, len(value)) + b"".join(map(encode, value))
        case (kind, number):
            digits = number.to_bytes((number.bit_length() + 7) // 8)
            return control(kind, len(digits)) + digits


def control(kind, size):
    """A type above 7 has a byte of its own."""
    assert size < 29
    return bytes([size, kind - 7]) if kind > 7 else bytes([kind << 5 | size])
