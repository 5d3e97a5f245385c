/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Whether a packet may pass, and what it becomes. Nothing here touches the packet, so both entries share it. */
#ifndef CAUSEWAY_DECIDE_H
#define CAUSEWAY_DECIDE_H

#include "flow.h"
#include "packet.h"

#define FORWARD (-1)

/* Where the program sits; constants, so that each entry is compiled with its own part alone. */
enum entry {
	AT_TC,
	AT_XDP_DRIVER,
	AT_XDP_GENERIC,
};

/* What came in, and where. */
struct arrival {
	void *context;
	u32 iif; /* of a VLAN, the interface that stands for it */
	enum entry entry;
};

/* Whether XDP can send this there itself (xdp.h). */
OWN_STACK int xdp_can_send(struct xdp_md *context, const struct packet *p, struct out *out, enum entry entry);

/* Both are written by the process at any time. */
INLINE u64 deadline_of(const struct flow *flow)
{
	return *(const volatile u64 *)&flow->deadline;
}

INLINE u64 open_of(const struct flow *flow)
{
	return *(const volatile u64 *)&flow->open;
}

/* Takes `bytes` out of the bucket, as the process does with its own: it may go into debt by one packet. */
INLINE int take(u32 index, u64 bytes, u64 now)
{
	struct rate *rate = map_lookup(&rates, &index);
	if (!rate || !rate->bytes_per_sec)
		return 1;
	u64 cost = bytes * 1000000000ULL / rate->bytes_per_sec;
	for (int i = 0; i < 4; i++) {
		u64 filled = *(volatile u64 *)&rate->filled_until;
		u64 from = filled > now ? filled : now;
		if (from - now >= rate->burst_ns)
			return 0;
		if (__sync_val_compare_and_swap(&rate->filled_until, filled, from + cost) == filled)
			return 1;
	}
	return 0;
}

/* An addition that is complete before anything that follows, on every processor: only one whose result is used is. */
INLINE void add_before_all_else(u64 *to, u64 what)
{
	u64 before = __sync_fetch_and_add(to, what);
	asm volatile("" ::"r"(before));
}

/* Counts first, then looks again whether the flow was taken back meanwhile: whoever takes it back writes the deadline first
 * and reads the counters then, so that nothing passes uncounted. */
INLINE int count_up(struct flow *flow, u64 bytes)
{
	__sync_fetch_and_add(&flow->up_packets, 1);
	add_before_all_else(&flow->up_bytes, bytes);
	if (UNLIKELY(!deadline_of(flow))) {
		__sync_fetch_and_add(&flow->up_packets, -1);
		__sync_fetch_and_add(&flow->up_bytes, -bytes);
		return 0;
	}
	return 1;
}

INLINE int count_down(struct flow *flow, u64 bytes)
{
	__sync_fetch_and_add(&flow->down_packets, 1);
	add_before_all_else(&flow->down_bytes, bytes);
	if (UNLIKELY(!deadline_of(flow))) {
		__sync_fetch_and_add(&flow->down_packets, -1);
		__sync_fetch_and_add(&flow->down_bytes, -bytes);
		return 0;
	}
	return 1;
}

/* Whether the way out can be taken by a packet that came in by `iif`. */
INLINE s64 leaves(const struct packet *p, struct out *out, const struct arrival *by)
{
	u32 iif = by->iif;
	u32 len = ip_len(out->family) + UDP_LEN + out->data_len + (out->channel.number ? CHANNEL_LEN : 0);
	if (!out->oif)
		return PASSED_WAY;
	/* To this host: only what is on the loopback already, and stays of its family, is delivered from here. */
	if (out->oif == LOOPBACK_IFINDEX && (iif != LOOPBACK_IFINDEX || p->family != out->family))
		return PASSED_WAY;
	/* IPv4 may leave the checksum out, IPv6 may not. */
	if (out->family == 6 && !p->udp.check)
		return PASSED_FORM;
	if (len > out->mtu)
		return PASSED_SIZE;
	if (by->entry != AT_TC && !xdp_can_send(by->context, p, out, by->entry))
		return PASSED_WAY;
	return FORWARD;
}

INLINE void towards_client(struct out *out, const struct flow *flow, u32 data_len)
{
	copy_address(out->src, flow->server);
	copy_address(out->dst, flow->client);
	out->sport = flow->server_port;
	out->dport = flow->client_port;
	out->channel.number = flow->channel;
	out->channel.len = SWAP16(data_len);
	out->family = flow->client_family;
	out->oif = flow->down_oif;
	out->mtu = flow->down_mtu;
	out->takes_frames = flow->down_takes_frames;
	out->data_len = data_len;
}

INLINE void towards_peer(struct out *out, const struct flow *flow, u32 data_len)
{
	copy_address(out->src, flow->relay);
	copy_address(out->dst, flow->peer);
	out->sport = flow->relay_port;
	out->dport = flow->peer_port;
	out->channel.number = 0;
	out->channel.len = 0;
	out->family = flow->peer_family;
	out->oif = flow->up_oif;
	out->mtu = flow->up_mtu;
	out->takes_frames = flow->up_takes_frames;
	out->data_len = data_len;
}

/* The flow of a peer's datagram, ready to be heard; else why not. */
INLINE struct flow *find_down(const struct down_key *key, u64 now, s64 *why)
{
	u32 *index = map_lookup(&down, key);
	if (!index) {
		*why = PASSED_UNKNOWN;
		return 0;
	}
	struct flow *flow = map_lookup(&flows, index);
	if (!flow || deadline_of(flow) <= now) {
		*why = PASSED_EXPIRED;
		return 0;
	}
	/* Where the client's packets are not seen as the process sees them (address translation on this host), the
	 * answers have to go through the process too. */
	if (!flow->seen) {
		*why = PASSED_UNCONFIRMED;
		return 0;
	}
	if (!(open_of(flow) & OPEN_DOWN)) {
		*why = PASSED_FIRST;
		return 0;
	}
	return flow;
}

/* ChannelData of a client. The outcome, or FORWARD with `out` filled in. */
INLINE s64 decide_up(const struct packet *p, struct out *out, const struct arrival *by, u64 now, u64 *done)
{
	struct up_key key = {};
	u32 data_len = p->udp_len - UDP_LEN - CHANNEL_LEN;
	copy_address(key.client, p->src);
	copy_address(key.server, p->dst);
	key.client_port = p->udp.src;
	key.server_port = p->udp.dst;
	key.channel = p->channel.number;
	u32 *index = map_lookup(&up, &key);
	if (!index)
		return PASSED_UNKNOWN;
	struct flow *flow = map_lookup(&flows, index);
	if (!flow || deadline_of(flow) <= now)
		return PASSED_EXPIRED;
	/* Only by the way that leads back: anything else is the kernel's to judge, as a forged source might be. */
	if (flow->down_oif != by->iif)
		return PASSED_WAY;
	if (!flow->seen)
		flow->seen = 1;
	if (!(open_of(flow) & OPEN_UP))
		return PASSED_FIRST;

	struct flow *other = 0;
	out->strip = CHANNEL_LEN;
	*done = FORWARDED_UP;
	if (flow->own_peer) {
		struct down_key between = {};
		s64 why = 0;
		copy_address(between.peer, flow->advertised);
		copy_address(between.relay, flow->peer_relay);
		between.peer_port = flow->relay_port;
		between.relay_port = flow->peer_port;
		other = find_down(&between, now, &why);
		if (!other)
			return why;
		towards_client(out, other, data_len);
		*done = FORWARDED_BETWEEN;
	} else {
		towards_peer(out, flow, data_len);
	}
	s64 way = leaves(p, out, by);
	if (way != FORWARD)
		return way;
	if (flow->rate && !take(flow->rate, data_len, now)) {
		__sync_fetch_and_add(&flow->up_over_rate, 1);
		return DROPPED_RATE;
	}
	if (!count_up(flow, data_len))
		return PASSED_EXPIRED;
	if (!take(0, data_len, now)) {
		__sync_fetch_and_add(&flow->over_total, 1);
		return DROPPED_RATE;
	}
	if (other) {
		if (other->rate && !take(other->rate + 1, data_len, now)) {
			__sync_fetch_and_add(&other->down_over_rate, 1);
			return DROPPED_RATE;
		}
		if (!count_down(other, data_len))
			return DROPPED_FAILED;
	}
	return FORWARD;
}

/* A datagram of a peer. */
INLINE s64 decide_down(const struct packet *p, struct out *out, const struct arrival *by, u64 now, u64 *done)
{
	struct down_key key = {};
	u32 data_len = p->udp_len - UDP_LEN;
	s64 why = 0;
	copy_address(key.peer, p->src);
	copy_address(key.relay, p->dst);
	key.peer_port = p->udp.src;
	key.relay_port = p->udp.dst;
	struct flow *flow = find_down(&key, now, &why);
	if (!flow)
		return why;
	/* Our own relayed addresses have no way: what claims to come from one, over a network, is forged. */
	if (flow->up_oif != by->iif)
		return PASSED_WAY;
	out->strip = 0;
	*done = FORWARDED_DOWN;
	towards_client(out, flow, data_len);
	s64 way = leaves(p, out, by);
	if (way != FORWARD)
		return way;
	if (flow->rate && !take(flow->rate + 1, data_len, now)) {
		__sync_fetch_and_add(&flow->down_over_rate, 1);
		return DROPPED_RATE;
	}
	if (!count_down(flow, data_len))
		return PASSED_EXPIRED;
	if (!take(0, data_len, now)) {
		__sync_fetch_and_add(&flow->over_total, 1);
		return DROPPED_RATE;
	}
	return FORWARD;
}

/* Which of the two it is, by where it goes. A listener may have a port among those of relays. */
INLINE s64 decide(const struct packet *p, struct out *out, const struct arrival *by, u64 *done)
{
	u64 now = clock_ns();
	u16 port = SWAP16(p->udp.dst);
	if (port >= relay_port_first && port <= relay_port_last) {
		s64 outcome = decide_down(p, out, by, now, done);
		if (outcome != PASSED_UNKNOWN)
			return outcome;
	}
	if (p->udp_len < UDP_LEN + CHANNEL_LEN || SWAP16(p->channel.len) != p->udp_len - UDP_LEN - CHANNEL_LEN)
		return PASSED_UNKNOWN;
	return decide_up(p, out, by, now, done);
}

#endif
