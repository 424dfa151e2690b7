//! The kinds of blobs that are read, from registries and from disk.

/// The two kinds of blobs that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlobKind {
    Manifest,
    Config,
}

impl BlobKind {
    /// Size cap, bytes.
    pub(super) fn cap(self) -> usize {
        match self {
            BlobKind::Manifest => 4 << 20,
            BlobKind::Config => 8 << 20,
        }
    }
}
