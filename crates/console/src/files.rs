//! The console's files.

use std::borrow::Cow;

use axum::body::Bytes;
use rust_embed::RustEmbed;

/// Looks a file up by its path without a leading slash: its bytes, and the SHA-256 of them.
pub type Lookup = fn(&str) -> Option<(Cow<'static, [u8]>, [u8; 32])>;

/// Where files come from. Beside a file may lie the same with `.br` or `.gz` at its end.
#[derive(Clone, Copy, Debug)]
pub struct Files(pub Lookup);

/// The files of `console/dist`.
pub const EMBEDDED: Files = Files(|path| Dist::get(path).map(|file| (file.data, file.metadata.sha256_hash())));

#[derive(RustEmbed)]
#[folder = "../../console/dist"]
#[allow_missing = true]
struct Dist;

/// A file as it is sent.
#[derive(Clone, Debug)]
pub struct File {
    /// What is in it, encoded.
    pub bytes: Bytes,
    /// How it is encoded, if it is.
    pub encoding: Option<&'static str>,
    /// Different for different content.
    pub hash: String,
}

impl Files {
    /// The file at `path`, in the first of the accepted encodings that it comes in.
    #[must_use]
    pub fn find(self, path: &str, accepted: Vec<&'static str>) -> Option<File> {
        let plain = self.look(path, None)?;
        let encoded = |encoding: &'static str| {
            let end = if encoding == "br" { "br" } else { "gz" };
            self.look(&format!("{path}.{end}"), Some(encoding))
        };
        Some(accepted.into_iter().find_map(encoded).unwrap_or(plain))
    }

    fn look(self, path: &str, encoding: Option<&'static str>) -> Option<File> {
        let (bytes, hash) = (self.0)(path)?;
        let bytes = match bytes {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        };
        Some(File { bytes, encoding, hash: hex::encode(hash) })
    }
}
