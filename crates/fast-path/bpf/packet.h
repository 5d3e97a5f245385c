/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * A packet as it came, and as it is to leave. */
#ifndef CAUSEWAY_PACKET_H
#define CAUSEWAY_PACKET_H

#include "kernel.h"

#define ETH_LEN 14
#define IPV4_LEN 20
#define IPV6_LEN 40
#define UDP_LEN 8
#define CHANNEL_LEN 4
#define PROTO_IPV4 SWAP16(0x0800)
#define PROTO_IPV6 SWAP16(0x86dd)
#define PROTO_VLAN SWAP16(0x8100)
#define VLAN_LEN 4
#define MAC_LEN 6
#define UDP 17
/* Larger datagrams go to the process; a ChannelData header included. */
#define PAYLOAD_MAX 2048

struct ipv4 {
	u8 version_words;
	u8 tos;
	be16 len;
	be16 id;
	be16 fragment;
	u8 ttl;
	u8 protocol;
	u16 check;
	be32 src;
	be32 dst;
};

struct ipv6 {
	be32 first; /* version, traffic class, flow label */
	be16 len;
	u8 next;
	u8 hop_limit;
	u32 src[4];
	u32 dst[4];
};

struct udp {
	be16 src;
	be16 dst;
	be16 len;
	u16 check;
};

struct channel {
	be16 number;
	be16 len;
};

/* What was read. */
struct packet {
	u32 src[4];
	u32 dst[4];
	struct udp udp;
	struct channel channel; /* the first four bytes of the payload; 0 when there are fewer */
	u16 id;
	be16 fragment;
	u8 family;
	u8 tos;
	u8 ttl;
	u8 zero;
	u32 udp_len;
	u32 payload_at; /* from the start of the frame */
};

/* What it becomes. */
struct out {
	u32 src[4];
	u32 dst[4];
	be16 sport;
	be16 dport;
	struct channel channel; /* number 0: none */
	u32 family;
	u32 oif;
	u32 mtu;
	u32 strip; /* bytes of a ChannelData header that go: 0 or 4 */
	u32 data_len;
	/* For XDP alone: */
	u32 takes_frames; /* whether XDP may send by oif */
	u32 device;	  /* oif, or what a VLAN is on */
	u32 vlan;	  /* 0: none */
	u8 macs[2 * MAC_LEN]; /* destination, source */
};

INLINE void copy_address(u32 *to, const u32 *from)
{
	to[0] = from[0];
	to[1] = from[1];
	to[2] = from[2];
	to[3] = from[3];
}

INLINE u16 fold(u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (u16)~sum;
}

INLINE u32 ip_len(u32 family)
{
	return family == 4 ? IPV4_LEN : IPV6_LEN;
}

/* Fills in what the headers say; false when it is not a whole, plain UDP datagram. */
INLINE int read_ipv4(struct packet *p, const struct ipv4 *ip, const struct udp *udp)
{
	p->family = 4;
	p->src[0] = ip->src;
	p->dst[0] = ip->dst;
	p->udp = *udp;
	p->tos = ip->tos;
	p->ttl = ip->ttl;
	p->id = ip->id;
	p->fragment = ip->fragment;
	p->udp_len = SWAP16(udp->len);
	p->payload_at = ETH_LEN + IPV4_LEN + UDP_LEN;
	/* Neither the reserved bit nor more fragments nor an offset; don't-fragment may be set. */
	return ip->version_words == 0x45 && ip->protocol == UDP && !(ip->fragment & ~SWAP16(0x4000)) && ip->ttl > 1 &&
	       p->udp_len >= UDP_LEN && SWAP16(ip->len) == IPV4_LEN + p->udp_len;
}

INLINE int read_ipv6(struct packet *p, const struct ipv6 *ip, const struct udp *udp)
{
	const u8 *bytes = (const u8 *)ip;
	p->family = 6;
	copy_address(p->src, ip->src);
	copy_address(p->dst, ip->dst);
	p->udp = *udp;
	p->tos = (u8)(bytes[0] << 4 | bytes[1] >> 4);
	p->ttl = ip->hop_limit;
	p->udp_len = SWAP16(udp->len);
	p->payload_at = ETH_LEN + IPV6_LEN + UDP_LEN;
	return bytes[0] >> 4 == 6 && ip->next == UDP && ip->hop_limit > 1 && p->udp_len >= UDP_LEN && udp->check &&
	       SWAP16(ip->len) == p->udp_len;
}

/* The IPv4 header of what leaves. It may be fragmented on its way, as what the sockets send may be (RFC 8656 section 13, the
 * alternate behaviour); what was not to be before may have no identification of its own, and gets one. */
INLINE void write_ipv4(struct ipv4 *ip, const struct packet *p, const struct out *out, u32 udp_len)
{
	ip->version_words = 0x45;
	ip->tos = p->tos;
	ip->len = SWAP16(IPV4_LEN + udp_len);
	ip->id = p->family == 4 && !p->fragment ? p->id : p->udp.check;
	ip->fragment = 0;
	ip->ttl = p->ttl - 1;
	ip->protocol = UDP;
	ip->check = 0;
	ip->src = out->src[0];
	ip->dst = out->dst[0];
	ip->check = fold((u32)csum_diff(0, 0, ip, sizeof(*ip), 0));
}

INLINE void write_ipv6(struct ipv6 *ip, const struct packet *p, const struct out *out, u32 udp_len)
{
	u8 *bytes = (u8 *)ip;
	bytes[0] = 0x60 | p->tos >> 4;
	bytes[1] = (u8)(p->tos << 4);
	bytes[2] = 0;
	bytes[3] = 0;
	ip->len = SWAP16(udp_len);
	ip->next = UDP;
	ip->hop_limit = p->ttl - 1;
	copy_address(ip->src, out->src);
	copy_address(ip->dst, out->dst);
}

#endif
