"""Two GStreamer peers (webrtcbin over libnice) in one process: relay candidates only, audio and a data channel.

Usage: gstreamer_call.py turn://user:password@host:port[?transport=tcp]
Runs with Debian's own Python, which has GStreamer's bindings. Prints what passed; exits 0 when everything did.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstWebRTC  # noqa: E402

TIMEOUT_SECONDS = 40


class Peer:
    def __init__(self, call, name):
        self.call, self.name = call, name
        self.bin = Gst.ElementFactory.make("webrtcbin", name)
        self.bin.set_property("turn-server", call.turn)
        self.bin.set_property("ice-transport-policy", GstWebRTC.WebRTCICETransportPolicy.RELAY)
        self.bin.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self.bin.connect("on-ice-candidate", self.on_candidate)
        self.bin.connect("on-data-channel", lambda _, channel: self.use(channel))
        self.other = None
        self.channel = None

    def on_candidate(self, _, index, candidate):
        assert "typ relay" in candidate, candidate
        self.call.passed.add(f"{self.name} has a relay candidate")
        self.other.bin.emit("add-ice-candidate", index, candidate)

    def use(self, channel):
        self.channel = channel
        channel.connect("on-open", lambda _: channel.emit("send-string", f"from {self.name}"))
        channel.connect("on-message-string", self.on_message)
        if channel.get_property("ready-state") == GstWebRTC.WebRTCDataChannelState.OPEN:
            channel.emit("send-string", f"from {self.name}")

    def on_message(self, _, text):
        assert text == f"from {self.other.name}", text
        self.call.pass_one(f"{self.name} got data")


class Call:
    def __init__(self, turn):
        self.turn = turn
        self.passed = set()
        self.loop = GLib.MainLoop()
        self.pipeline = Gst.Pipeline.new("call")
        self.alice, self.bob = Peer(self, "alice"), Peer(self, "bob")
        self.alice.other, self.bob.other = self.bob, self.alice
        source = Gst.parse_bin_from_description(
            "audiotestsrc is-live=true ! audioconvert ! audioresample ! alawenc ! rtppcmapay ! "
            "capsfilter caps=application/x-rtp,media=audio,encoding-name=PCMA,payload=8",
            True,
        )
        for element in (self.alice.bin, self.bob.bin, source):
            self.pipeline.add(element)
        assert source.link(self.alice.bin)
        self.bob.bin.connect("pad-added", self.on_media)
        self.alice.bin.connect("on-negotiation-needed", self.on_negotiation_needed)
        self.channel_made = False

    def run(self):
        self.pipeline.set_state(Gst.State.READY)
        self.alice.use(self.alice.bin.emit("create-data-channel", "chat", None))
        self.pipeline.set_state(Gst.State.PLAYING)
        GLib.timeout_add_seconds(TIMEOUT_SECONDS, self.loop.quit)
        self.loop.run()
        self.pipeline.set_state(Gst.State.NULL)

    def on_negotiation_needed(self, _):
        if self.channel_made:
            return
        self.channel_made = True
        self.alice.bin.emit("create-offer", None, Gst.Promise.new_with_change_func(self.on_offer))

    def on_offer(self, promise):
        # The reply owns the description.
        self.offered = promise.get_reply()
        offer = self.offered.get_value("offer")
        self.alice.bin.emit("set-local-description", offer, None)
        told = Gst.Promise.new_with_change_func(lambda _: self.answer())
        self.bob.bin.emit("set-remote-description", offer, told)

    def answer(self):
        self.bob.bin.emit("create-answer", None, Gst.Promise.new_with_change_func(self.on_answer))

    def on_answer(self, promise):
        self.answered = promise.get_reply()
        answer = self.answered.get_value("answer")
        self.bob.bin.emit("set-local-description", answer, None)
        self.alice.bin.emit("set-remote-description", answer, None)

    def on_media(self, _, pad):
        sink = Gst.ElementFactory.make("fakesink")
        sink.set_property("sync", False)
        self.pipeline.add(sink)
        sink.sync_state_with_parent()
        pad.link(sink.get_static_pad("sink"))
        pad.add_probe(Gst.PadProbeType.BUFFER, self.on_packet)

    def on_packet(self, _pad, _info):
        GLib.idle_add(self.pass_one, "bob got audio")
        return Gst.PadProbeReturn.REMOVE

    def pass_one(self, what):
        self.passed.add(what)
        if {"alice got data", "bob got data", "bob got audio"} <= self.passed:
            self.loop.quit()


def main():
    Gst.init(None)
    call = Call(sys.argv[1])
    call.run()
    print("\n".join(sorted(call.passed)))
    return 0 if {"alice got data", "bob got data", "bob got audio"} <= call.passed else 1


sys.exit(main())
