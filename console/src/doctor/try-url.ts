import type { RelayUrl } from "./url";
import type { Finding } from "./verdict";

/** Tries one URL from this browser: what it gathers, whether two ends meet over it, how fast. */

export interface Credential {
  username?: string | null | undefined;
  credential?: string | null | undefined;
}

export type Step = "gathering" | "connecting" | "measuring";

const GATHER_MS_MAX = 10_000;
const CONNECT_MS_MAX = 10_000;
const PINGS = 11;
const THROUGHPUT_MS = 3000;
/** A fast network is measured by this much; more would only cost. */
const THROUGHPUT_BYTES_MAX = 32_000_000;
const CHUNK_BYTES = 16_384;
const QUIET_MS = 200;
/** Sent but not taken by the network; more would measure the browser's memory. */
const BUFFERED_BYTES_MAX = 1_000_000;

export async function tryUrl(
  url: RelayUrl,
  credential: Credential,
  signal: AbortSignal,
  onStep: (step: Step) => void,
): Promise<Finding> {
  const configuration: RTCConfiguration = {
    iceServers: [
      {
        urls: [url.url],
        ...(url.way !== "stun" && {
          username: credential.username ?? "",
          credential: credential.credential ?? "",
        }),
      },
    ],
    iceTransportPolicy: url.way === "stun" ? "all" : "relay",
  };
  onStep("gathering");
  const gathered = await gather(url, configuration, signal);
  if (gathered.candidateMs === undefined || url.way === "stun") return gathered;
  onStep("connecting");
  const pair = new Pair(configuration);
  const stop = () => pair.close();
  signal.addEventListener("abort", stop);
  try {
    const isConnected = await pair.connect(CONNECT_MS_MAX);
    if (!isConnected) return { ...gathered, isConnected };
    onStep("measuring");
    const roundTripMs = await pair.roundTrip();
    const bitsPerSecond = await pair.throughput(signal);
    return { ...gathered, isConnected, ...(roundTripMs !== undefined && { roundTripMs }), bitsPerSecond };
  } finally {
    signal.removeEventListener("abort", stop);
    pair.close();
  }
}

async function gather(url: RelayUrl, configuration: RTCConfiguration, signal: AbortSignal): Promise<Finding> {
  const connection = new RTCPeerConnection(configuration);
  const wanted = url.way === "stun" ? "srflx" : "relay";
  const finding: Finding = { url, errors: [] };
  const begun = performance.now();
  try {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(resolve, GATHER_MS_MAX);
      signal.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
      connection.onicecandidateerror = (event) => finding.errors.push({ code: event.errorCode, text: event.errorText });
      connection.onicecandidate = ({ candidate }) => {
        if (candidate?.type === wanted) {
          finding.candidateMs = performance.now() - begun;
          if (candidate.address) finding.address = candidate.address;
        }
        // Null is the end of gathering.
        if (candidate === null || candidate.type === wanted) {
          clearTimeout(timer);
          resolve();
        }
      };
      connection.createDataChannel("gather");
      void connection.setLocalDescription();
    });
  } finally {
    connection.close();
  }
  return finding;
}

/** Two connections of this page that may meet over the relay only. */
class Pair {
  private readonly a: RTCPeerConnection;
  private readonly b: RTCPeerConnection;
  private readonly channel: RTCDataChannel;
  private remote: RTCDataChannel | undefined;
  private received = 0;
  private seen = { received: 0, at: 0 };

  constructor(configuration: RTCConfiguration) {
    this.a = new RTCPeerConnection(configuration);
    this.b = new RTCPeerConnection(configuration);
    this.channel = this.a.createDataChannel("measure", { ordered: false, maxRetransmits: 0 });
    this.channel.binaryType = "arraybuffer";
    this.a.onicecandidate = ({ candidate }) => candidate && void this.b.addIceCandidate(candidate);
    this.b.onicecandidate = ({ candidate }) => candidate && void this.a.addIceCandidate(candidate);
    this.b.ondatachannel = ({ channel }) => {
      this.remote = channel;
      channel.binaryType = "arraybuffer";
      channel.onmessage = ({ data }: MessageEvent<unknown>) => {
        if (data instanceof ArrayBuffer) this.received += data.byteLength;
        else channel.send(String(data));
      };
    };
  }

  async connect(msMax: number): Promise<boolean> {
    const open = new Promise<boolean>((resolve) => {
      this.channel.onopen = () => resolve(true);
      setTimeout(() => resolve(false), msMax);
    });
    await this.a.setLocalDescription();
    if (this.a.localDescription) await this.b.setRemoteDescription(this.a.localDescription);
    await this.b.setLocalDescription();
    if (this.b.localDescription) await this.a.setRemoteDescription(this.b.localDescription);
    return open;
  }

  /** The median of a few pings, milliseconds. */
  async roundTrip(): Promise<number | undefined> {
    const times: number[] = [];
    for (let n = 0; n < PINGS; n++) {
      const begun = performance.now();
      const isBack = await new Promise<boolean>((resolve) => {
        const timer = setTimeout(() => resolve(false), 2000);
        this.channel.onmessage = ({ data }) => {
          if (data !== String(n)) return;
          clearTimeout(timer);
          resolve(true);
        };
        this.channel.send(String(n));
      });
      if (isBack) times.push(performance.now() - begun);
    }
    times.sort((x, y) => x - y);
    return times[Math.floor(times.length / 2)];
  }

  /** Bits that arrive per second, one way, over a few seconds. */
  async throughput(signal: AbortSignal): Promise<number> {
    const chunk = new Uint8Array(CHUNK_BYTES);
    const begun = performance.now();
    let sent = 0;
    this.received = 0;
    while (performance.now() - begun < THROUGHPUT_MS && this.received < THROUGHPUT_BYTES_MAX) {
      if (this.channel.readyState !== "open" || signal.aborted) break;
      while (this.channel.bufferedAmount < BUFFERED_BYTES_MAX && sent < THROUGHPUT_BYTES_MAX) {
        this.channel.send(chunk);
        sent += chunk.length;
      }
      // What was lost on the way does not come any more.
      if (sent >= THROUGHPUT_BYTES_MAX && this.channel.bufferedAmount === 0 && this.isQuiet()) break;
      await new Promise((done) => setTimeout(done, 5));
    }
    return (this.received * 8) / ((performance.now() - begun) / 1000);
  }

  /** Whether nothing arrived since the last time this was asked a while ago. */
  private isQuiet(): boolean {
    const now = performance.now();
    if (this.received !== this.seen.received) this.seen = { received: this.received, at: now };
    return now - this.seen.at > QUIET_MS;
  }

  close(): void {
    this.remote?.close();
    this.a.close();
    this.b.close();
  }
}
