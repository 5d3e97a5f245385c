//! Lists that only the file can hold: documented here for the reference page, the example file and `causeway explain`.

/// A table of the file that may be given any number of times.
pub(crate) struct FileTable {
    /// As in `[[name]]`.
    pub(crate) name: &'static str,
    /// What it is for.
    pub(crate) doc: &'static str,
    /// Its lines, as TOML.
    pub(crate) lines: &'static str,
}

/// Every one.
pub(crate) const TABLES: &[FileTable] = &[
    FileTable {
        name: "turn.user",
        doc: "Static TURN users, any number of them.",
        lines: "name = \"alice\"\npassword = \"…\"\n",
    },
    FileTable {
        name: "tls.certificate",
        doc: "More certificates, chosen by SNI.",
        lines: "cert = \"other.pem\"\nkey = \"other.key\"\n",
    },
    FileTable {
        name: "regions",
        doc: "Regions, the same list on every server; the key `region` names the one a server serves. nat2 is the country; cidrs are networks whose clients are near; urls are handed out instead of those of the region's servers. city, name, cidrs and urls may be left out.",
        lines: "slug = \"eu-central\"\nnat2 = \"DE\"\ncity = \"Frankfurt\"\nname = \"EU Central\"\nlat = 50.11\nlon = 8.68\n\
                cidrs = [\"192.0.2.0/24\", \"2001:db8::/32\"]\nurls = [\"turn:eu.example.com:3478?transport=udp\"]\n",
    },
    FileTable {
        name: "kvs.access_key",
        doc: "Access keys of AWS clients (docs/compat/aws-kvs.md). preset is admin, master, viewer or describe. session_token, client_id, channel (a glob of channel names) and project may be left out.",
        lines: "id = \"AKIDCAMERAS\"\nsecret = \"…\"\npreset = \"master\"\nchannel = \"cam-*\"\n",
    },
    FileTable {
        name: "calls.user",
        doc: "SIP users (docs/sip.md), beside those made by the API. project may be left out.",
        lines: "name = \"alice\"\npassword = \"…\"\nproject = \"default\"\n",
    },
    FileTable {
        name: "calls.service",
        doc: "Names that clients call and that are no clients (docs/sip.md). Instead of clients, url, secret and answer_within are an application that is asked where each call goes. project may be left out.",
        lines: "name = \"support\"\nclients = [\"alice\", \"bob\"]\n",
    },
];

impl FileTable {
    /// What `causeway explain` says.
    pub(crate) fn page(&self) -> String {
        let Self { name, doc, lines } = self;
        let indented: String = lines.lines().map(|line| format!("  {line}\n")).collect();
        format!("{name}\n\n{doc}\n\nIn the file only:\n\n  [[{name}]]\n{indented}")
    }
}
