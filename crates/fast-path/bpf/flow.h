/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * The maps, as the loader (src/layout.rs) knows them too.
 *
 * A flow is one channel: a client and a peer, both directions. Two hashes lead to it. While a key leads to a flow, user space
 * changes nothing of it but the deadline and `open`; the program changes nothing but the counters. */
#ifndef CAUSEWAY_FLOW_H
#define CAUSEWAY_FLOW_H

#include "kernel.h"

/* Addresses are 16 bytes; an IPv4 address is the first four, the rest zero. */
struct up_key {
	u32 client[4];
	u32 server[4];
	be16 client_port;
	be16 server_port;
	be16 channel;
	u16 zero;
};

struct down_key {
	u32 peer[4];
	u32 relay[4];
	be16 peer_port;
	be16 relay_port;
	u32 zero;
};

struct flow {
	u64 deadline; /* CLOCK_MONOTONIC; 0 once it is taken back */
	u64 up_packets;
	u64 up_bytes; /* payload */
	u64 down_packets;
	u64 down_bytes;
	u64 up_over_rate; /* packets */
	u64 down_over_rate;
	u64 over_total;
	u32 client[4];
	u32 server[4];
	u32 relay[4];
	u32 peer[4];
	be16 client_port;
	be16 server_port;
	be16 relay_port;
	be16 peer_port;
	be16 channel;
	u8 client_family; /* 4 or 6 */
	u8 peer_family;
	u8 own_peer; /* the peer is a relayed address of this server */
	u8 up_takes_frames; /* whether XDP may send by up_oif */
	u8 down_takes_frames;
	u8 zero;
	u32 up_oif; /* 0: this direction is not for the program */
	u32 down_oif;
	u16 up_mtu; /* of the network layer */
	u16 down_mtu;
	u32 rate; /* of its allocation: rates[rate] from the client, rates[rate + 1] to it; 0: none */
	u32 advertised[4]; /* own_peer: where the other allocation sees this one */
	u32 peer_relay[4]; /* own_peer: what the peer's address is bound to */
	u64 seen;	   /* whether a packet of the client was seen here */
	u64 open;	   /* the process: OPEN_UP, OPEN_DOWN once the first packet of that direction came through it */
};

#define OPEN_UP 1
#define OPEN_DOWN 2

/* The bucket as the time up to which it is filled. */
struct rate {
	u64 filled_until;
	u64 bytes_per_sec; /* 0: unlimited */
	u64 burst_ns;
	u64 reserved;
};

/* What became of the packets. */
enum outcome {
	FORWARDED_UP,
	FORWARDED_DOWN,
	FORWARDED_BETWEEN, /* relay to relay */
	PASSED_FORM,	   /* fragments, options, lengths that do not match, hop limit */
	PASSED_UNKNOWN,	   /* no flow */
	PASSED_EXPIRED,
	PASSED_UNCONFIRMED, /* from a peer, before the client was seen here */
	PASSED_FIRST,	    /* the first of its direction, which the process tells of */
	PASSED_MERGED,	    /* several datagrams in one buffer */
	PASSED_SIZE,	    /* larger than the way out, or than what is copied */
	PASSED_WAY,	    /* no way out that the program can take */
	DROPPED_RATE,
	DROPPED_FAILED,
	OUTCOMES,
	BY_XDP = OUTCOMES, /* of those forwarded; no outcome of its own */
	COUNTS
};

/* A VLAN of a device, and back: the interface that stands for it. */
struct vlan {
	u32 device;
	u32 id;
};

struct {
	NUMBER(type, MAP_HASH);
	struct up_key *key;
	u32 *value;
	NUMBER(max_entries, 1024);
} up SEC(".maps");

struct {
	NUMBER(type, MAP_HASH);
	struct down_key *key;
	u32 *value;
	NUMBER(max_entries, 1024);
} down SEC(".maps");

struct {
	NUMBER(type, MAP_ARRAY);
	NUMBER(map_flags, MAP_MMAPABLE);
	u32 *key;
	struct flow *value;
	NUMBER(max_entries, 1024);
} flows SEC(".maps");

struct {
	NUMBER(type, MAP_ARRAY);
	NUMBER(map_flags, MAP_MMAPABLE);
	u32 *key;
	struct rate *value;
	NUMBER(max_entries, 1024);
} rates SEC(".maps");

struct {
	NUMBER(type, MAP_PERCPU_ARRAY);
	u32 *key;
	u64 *value;
	NUMBER(max_entries, COUNTS);
} outcomes SEC(".maps");

struct {
	NUMBER(type, MAP_HASH);
	struct vlan *key;
	u32 *value;
	NUMBER(max_entries, 256);
} interface_of_vlan SEC(".maps");

struct {
	NUMBER(type, MAP_HASH);
	u32 *key;
	struct vlan *value;
	NUMBER(max_entries, 256);
} vlan_of_interface SEC(".maps");

/* Ports of relay sockets, host order; the loader sets them. */
const volatile u16 relay_port_first = 49152;
const volatile u16 relay_port_last = 65535;
/* Set by tests, which have no neighbours: frames keep their Ethernet addresses. */
const volatile u8 without_neighbours = 0;

INLINE int count(u32 outcome, int verdict)
{
	u64 *slot = map_lookup(&outcomes, &outcome);
	if (slot)
		*slot += 1; /* a processor's own */
	return verdict;
}

#endif
