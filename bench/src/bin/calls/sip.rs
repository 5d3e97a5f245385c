//! A client that speaks SIP (RFC 3261) over a WebSocket (RFC 7118) and proves itself by digest (RFC 7616).

use aws_lc_rs::digest::{SHA256, digest};

use crate::phone::{Dialect, News};

const DOMAIN: &str = "bench.invalid";
const PASSWORD: &str = "bench-password";

/// The users, as the server's configuration has them.
pub(crate) fn users(count: usize) -> String {
    let user = |number| format!("[[calls.user]]\nname = \"{}\"\npassword = \"{PASSWORD}\"\n", name(number));
    (0..count).map(user).collect()
}

/// The name of user `number`.
pub(crate) fn name(number: usize) -> String {
    format!("user-{number:06}")
}

/// One client.
#[derive(Debug)]
pub(crate) struct SipPhone {
    name: String,
    next: u32,
    offer: String,
    /// The INVITE that was placed.
    placed: Option<Placed>,
}

#[derive(Debug)]
struct Placed {
    call_id: String,
    /// The callee's address with its tag.
    to: String,
    target: String,
}

impl SipPhone {
    pub(crate) fn new(number: usize, offer: &str) -> Self {
        Self { name: name(number), next: 0, offer: offer.to_owned(), placed: None }
    }

    fn number(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    /// The head of a request, without its end.
    fn request(&mut self, method: &str, uri: &str, to: &str, call_id: &str, cseq: u32) -> String {
        let number = self.number();
        let name = &self.name;
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/WS {name}.invalid;branch=z9hG4bK{name}-{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:{name}@{DOMAIN}>;tag={name}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:{name}@{name}.invalid;transport=ws>\r\nUser-Agent: causeway-bench\r\n"
        )
    }

    fn register(&mut self, challenge: Option<&str>) -> String {
        let (uri, to) = (format!("sip:{DOMAIN}"), format!("<sip:{}@{DOMAIN}>", self.name));
        let call_id = format!("register-{}", self.name);
        let cseq = self.next + 1;
        let mut text = self.request("REGISTER", &uri, &to, &call_id, cseq);
        text.push_str("Expires: 600\r\n");
        if let Some(challenge) = challenge {
            text.push_str(&self.authorization("REGISTER", &uri, challenge));
        }
        text + "Content-Length: 0\r\n\r\n"
    }

    fn authorization(&self, method: &str, uri: &str, challenge: &str) -> String {
        let parameter = |name: &str| challenge.split(&format!("{name}=\"")).nth(1)?.split('"').next();
        let (realm, nonce) = (parameter("realm").unwrap_or_default(), parameter("nonce").unwrap_or_default());
        let secret = hash(&format!("{}:{realm}:{PASSWORD}", self.name));
        let request = hash(&format!("{method}:{uri}"));
        let response = hash(&format!("{secret}:{nonce}:00000001:bench:auth:{request}"));
        format!(
            "Authorization: Digest username=\"{}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\", algorithm=SHA-256, cnonce=\"bench\", qop=auth, nc=00000001\r\n",
            self.name
        )
    }

    /// The server calls, hangs up, or confirms.
    fn asked(&self, method: &str, text: &str, out: &mut Vec<String>) {
        let answer = |status: &str, more: &str, body: &str| {
            let copied = ["Via", "From", "Call-ID", "CSeq"].map(|name| format!("{name}: {}\r\n", header(text, name)));
            let to = header(text, "To");
            let tag = if to.contains(";tag=") { String::new() } else { format!(";tag={}", self.name) };
            let head = copied.concat();
            format!("SIP/2.0 {status}\r\n{head}To: {to}{tag}\r\n{more}Content-Length: {}\r\n\r\n{body}", body.len())
        };
        let contact = format!("Contact: <sip:{0}@{0}.invalid;transport=ws>\r\n", self.name);
        match method {
            "INVITE" => {
                out.push(answer("180 Ringing", &contact, ""));
                let more = format!("{contact}Content-Type: application/sdp\r\n");
                out.push(answer("200 OK", &more, &self.offer));
            }
            "ACK" => {}
            _ => out.push(answer("200 OK", "", "")),
        }
    }

    fn answered(&mut self, text: &str, out: &mut Vec<String>) {
        let Some(mut placed) = self.placed.take() else { return };
        placed.to = header(text, "To").to_owned();
        placed.target =
            header(text, "Contact").trim_start_matches('<').split('>').next().unwrap_or_default().to_owned();
        let ack = self.request("ACK", &placed.target, &placed.to, &placed.call_id, 1);
        out.push(ack + "Content-Length: 0\r\n\r\n");
        self.placed = Some(placed);
    }
}

impl Dialect for SipPhone {
    fn hello(&mut self, out: &mut Vec<String>) {
        out.push(self.register(None));
    }

    fn heard(&mut self, text: &str, out: &mut Vec<String>) -> Option<News> {
        let Some(rest) = text.strip_prefix("SIP/2.0 ") else {
            let method = text.split(' ').next().unwrap_or_default();
            self.asked(method, text, out);
            return None;
        };
        let status = rest.split(' ').next().unwrap_or_default();
        let method = header(text, "CSeq").split(' ').nth(1).unwrap_or_default();
        match (method, status) {
            ("REGISTER", "401") if self.next == 1 => {
                let answer = self.register(Some(header(text, "WWW-Authenticate")));
                out.push(answer);
                None
            }
            ("REGISTER", "200") => Some(News::Registered),
            ("INVITE", "100") => None,
            ("INVITE", "180") => Some(News::Rings),
            ("INVITE", "200") => {
                self.answered(text, out);
                Some(News::Answered)
            }
            ("BYE", "200") => Some(News::Over),
            _ => Some(News::Fault(format!("{method} was answered with {}", rest.lines().next().unwrap_or_default()))),
        }
    }

    fn dial(&mut self, callee: &str, out: &mut Vec<String>) {
        let uri = format!("sip:{callee}@{DOMAIN}");
        let (to, call_id) = (format!("<{uri}>"), format!("call-{}-{}", self.name, self.next));
        let head = self.request("INVITE", &uri, &to, &call_id, 1);
        out.push(format!(
            "{head}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{}",
            self.offer.len(),
            self.offer
        ));
        self.placed = Some(Placed { call_id, to, target: uri });
    }

    fn hang_up(&mut self, out: &mut Vec<String>) {
        let Some(placed) = self.placed.take() else { return };
        let bye = self.request("BYE", &placed.target, &placed.to, &placed.call_id, 2);
        out.push(bye + "Content-Length: 0\r\n\r\n");
    }
}

/// The first header of this name; empty when there is none.
fn header<'a>(text: &'a str, name: &str) -> &'a str {
    let lines = text.split("\r\n").take_while(|line| !line.is_empty());
    let mut named = lines.filter_map(|line| line.split_once(": ")).filter(|(known, _)| *known == name);
    named.next().map_or("", |(_, value)| value)
}

fn hash(text: &str) -> String {
    hex::encode(digest(&SHA256, text.as_bytes()))
}
