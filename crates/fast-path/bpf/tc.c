/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * The entry for tc ingress (TCX): any interface with Ethernet framing, the loopback included. A VLAN is an interface of its own
 * here: the kernel has taken the tag off.
 *
 * Whatever changes the packet is a function with a stack of its own, and what is decided is 64 bits wide: else the compiler puts
 * half words where pointers were, which the verifier refuses to a process that has CAP_BPF but not CAP_PERFMON.
 *
 * The payload is moved by the four bytes that a ChannelData header takes, never the headers: a packet whose checksum is
 * still to be finished points at its UDP header, and that stays where it is. */
#include "decide.h"

struct scratch {
	u8 bytes[CHANNEL_LEN + PAYLOAD_MAX];
};

struct {
	NUMBER(type, MAP_PERCPU_ARRAY);
	u32 *key;
	struct scratch *value;
	NUMBER(max_entries, 1);
} scratch SEC(".maps");

/* Reads the headers. FORWARD, the outcome of a packet that might have been ours, or OUTCOMES for all others. */
INLINE s64 read_packet(struct __sk_buff *skb, struct packet *p)
{
	u32 at = ETH_LEN;
	if (skb->protocol == PROTO_IPV4) {
		struct {
			struct ipv4 ip;
			struct udp udp;
		} head;
		if (skb_load(skb, at, &head, sizeof(head)) || head.ip.protocol != UDP)
			return OUTCOMES;
		if (!read_ipv4(p, &head.ip, &head.udp))
			return PASSED_FORM;
	} else if (skb->protocol == PROTO_IPV6) {
		struct {
			struct ipv6 ip;
			struct udp udp;
		} head;
		if (skb_load(skb, at, &head, sizeof(head)) || head.ip.next != UDP)
			return OUTCOMES;
		if (!read_ipv6(p, &head.ip, &head.udp))
			return PASSED_FORM;
	} else {
		return OUTCOMES;
	}
	/* A tag that a network card took off: the interface of that VLAN gets to see the packet next. */
	if (skb->vlan_present)
		return OUTCOMES;
	if (skb->gso_size)
		return PASSED_MERGED;
	/* Short frames are padded; nothing may be missing. */
	if (skb->len < p->payload_at + p->udp_len - UDP_LEN)
		return PASSED_FORM;
	if (p->udp_len >= UDP_LEN + CHANNEL_LEN && skb_load(skb, p->payload_at, &p->channel, CHANNEL_LEN))
		return PASSED_FORM;
	return FORWARD;
}

/* Puts the payload where it belongs, behind a ChannelData header if there is to be one, and cuts the frame to size. */
OWN_STACK int move_payload(struct __sk_buff *skb, const struct packet *p, const struct out *out)
{
	u32 zero = 0;
	u32 head = out->channel.number ? CHANNEL_LEN : 0;
	u32 end = p->payload_at + head + out->data_len;
	u32 len = out->data_len;

	if (head == out->strip) {
		if (skb->len != end && skb_change_tail(skb, end, 0))
			return 0;
		return !head || !skb_store(skb, p->payload_at, &out->channel, CHANNEL_LEN, 0);
	}
	struct scratch *to = map_lookup(&scratch, &zero);
	if (!to || len > PAYLOAD_MAX)
		return 0;
	if (len && skb_load(skb, p->payload_at + out->strip, to->bytes + CHANNEL_LEN, len))
		return 0;
	if (skb->len < end && skb_change_tail(skb, end, 0))
		return 0;
	if (head) {
		*(struct channel *)to->bytes = out->channel;
		if (skb_store(skb, p->payload_at, to->bytes, CHANNEL_LEN + len, 0))
			return 0;
	} else if (len && skb_store(skb, p->payload_at, to->bytes + CHANNEL_LEN, len, 0)) {
		return 0;
	}
	return skb->len == end || !skb_change_tail(skb, end, 0);
}

/* The UDP header: ports, length, and the checksum by what changed. The kernel knows whether it is finished already. */
OWN_STACK int write_udp(struct __sk_buff *skb, const struct packet *p, const struct out *out, u32 udp_len)
{
	u32 at = p->payload_at - UDP_LEN;
	u32 check = at + __builtin_offsetof(struct udp, check);
	struct {
		u32 addresses[8];
		u32 len;
	} before, after;
	struct {
		be16 ports[2];
		u32 len;
		struct channel channel;
	} old = {}, new = {};
	struct udp udp;

	/* An IPv4 address is followed by zeros, which add nothing. */
	copy_address(before.addresses, p->src);
	copy_address(before.addresses + 4, p->dst);
	before.len = p->udp.len;
	copy_address(after.addresses, out->src);
	copy_address(after.addresses + 4, out->dst);
	after.len = SWAP16(udp_len);

	old.ports[0] = p->udp.src;
	old.ports[1] = p->udp.dst;
	old.len = p->udp.len;
	if (out->strip)
		old.channel = p->channel;
	new.ports[0] = out->sport;
	new.ports[1] = out->dport;
	new.len = SWAP16(udp_len);
	new.channel = out->channel;

	long pseudo = csum_diff(&before, sizeof(before), &after, sizeof(after), 0);
	long plain = csum_diff(&old, sizeof(old), &new, sizeof(new), 0);
	if (l4_csum_replace(skb, check, 0, (u32)pseudo, CSUM_PSEUDO | CSUM_KEEP_ZERO) ||
	    l4_csum_replace(skb, check, 0, (u32)plain, CSUM_KEEP_ZERO))
		return 0;
	udp.src = out->sport;
	udp.dst = out->dport;
	udp.len = SWAP16(udp_len);
	return !skb_store(skb, at, &udp, __builtin_offsetof(struct udp, check), 0);
}

OWN_STACK int write_ip(struct __sk_buff *skb, const struct packet *p, const struct out *out, u32 udp_len)
{
	if (out->family == 4) {
		struct ipv4 ip;
		write_ipv4(&ip, p, out, udp_len);
		if (p->family == 6) {
			be16 proto = PROTO_IPV4;
			if (skb_change_proto(skb, proto, 0) || skb_store(skb, ETH_LEN - 2, &proto, 2, 0))
				return 0;
		}
		return !skb_store(skb, ETH_LEN, &ip, sizeof(ip), 0);
	}
	struct ipv6 ip;
	write_ipv6(&ip, p, out, udp_len);
	if (p->family == 4) {
		be16 proto = PROTO_IPV6;
		if (skb_change_proto(skb, proto, 0) || skb_store(skb, ETH_LEN - 2, &proto, 2, 0))
			return 0;
	}
	return !skb_store(skb, ETH_LEN, &ip, sizeof(ip), 0);
}

SEC("classifier")
int causeway_tc(struct __sk_buff *skb)
{
	struct packet p = {};
	struct out out = {};
	u64 done = 0;

	struct arrival by = {.context = skb, .iif = skb->ifindex, .entry = AT_TC};

	s64 outcome = read_packet(skb, &p);
	if (outcome == OUTCOMES)
		return TC_NEXT;
	if (outcome == FORWARD && p.udp_len > UDP_LEN + PAYLOAD_MAX)
		outcome = PASSED_SIZE;
	if (outcome == FORWARD)
		outcome = decide(&p, &out, &by, &done);
	if (outcome != FORWARD)
		return count(outcome, outcome >= DROPPED_RATE ? TC_DROP : TC_NEXT);

	u32 udp_len = UDP_LEN + out.data_len + (out.channel.number ? CHANNEL_LEN : 0);
	if (!move_payload(skb, &p, &out) || !write_udp(skb, &p, &out, udp_len) || !write_ip(skb, &p, &out, udp_len))
		return count(DROPPED_FAILED, TC_DROP);
	/* On the loopback it has arrived. */
	if (out.oif == LOOPBACK_IFINDEX)
		return count(done, TC_PASS);
	return count(done, redirect_neigh(out.oif, 0, 0, 0));
}
