//! Cache of responses by `ETag` (RFC 9110 §8.8.3), for conditional requests: GitHub does not count a 304 against the
//! quota.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use http::header::{AUTHORIZATION, ETAG, LINK};
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};
use url::Url;

/// Size cap of the whole cache, bytes.
const MOST: usize = 32 << 20;
/// Estimated memory per entry in addition to its body, bytes.
const OVERHEAD: usize = 512;

/// Cache key of URL and credentials: a digest, so that no credentials are kept in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::registry) struct EtagCacheKey([u8; 32]);

impl EtagCacheKey {
    pub(in crate::registry) fn new(url: &Url, authorization: Option<&HeaderValue>) -> Self {
        let mut hash = Sha256::new();
        hash.update(url.as_str());
        hash.update([0]); // separator: no URL contains a NUL
        hash.update(AUTHORIZATION.as_str());
        hash.update([u8::from(authorization.is_some())]);
        hash.update(authorization.map_or(&[][..], HeaderValue::as_bytes));
        Self(hash.finalize().into())
    }
}

/// A cached response.
#[derive(Clone, Debug)]
pub(in crate::registry) struct CachedResponse {
    pub(in crate::registry) etag: HeaderValue,
    pub(in crate::registry) headers: HeaderMap,
    pub(in crate::registry) body: Bytes,
}

impl CachedResponse {
    /// `None`: the response has no `ETag`.
    pub(in crate::registry) fn of(headers: &HeaderMap, body: &Bytes) -> Option<Self> {
        let etag = headers.get(ETAG)?.clone();
        let link = headers.get(LINK).map(|link| (LINK, link.clone()));
        Some(Self { etag, headers: link.into_iter().collect(), body: body.clone() })
    }

    fn size(&self) -> usize {
        let headers: usize = self.headers.values().map(HeaderValue::len).sum();
        OVERHEAD + self.etag.len() + headers + self.body.len()
    }
}

/// Cached responses; the oldest are evicted when the cache is full.
#[derive(Debug, Default)]
pub(super) struct EtagCache {
    pages: HashMap<EtagCacheKey, CachedResponse>,
    /// Keys by age, oldest first.
    order: VecDeque<EtagCacheKey>,
    size: usize,
}

impl EtagCache {
    pub(super) fn get(&self, asked: EtagCacheKey) -> Option<CachedResponse> {
        self.pages.get(&asked).cloned()
    }

    pub(super) fn keep(&mut self, asked: EtagCacheKey, page: CachedResponse) {
        self.forget(asked);
        if page.size() > MOST / 4 {
            return;
        }
        self.size += page.size();
        self.pages.insert(asked, page);
        self.order.push_back(asked);
        while self.size > MOST
            && let Some(&oldest) = self.order.front()
        {
            self.forget(oldest);
        }
    }

    fn forget(&mut self, asked: EtagCacheKey) {
        if let Some(page) = self.pages.remove(&asked) {
            self.size -= page.size();
            self.order.retain(|other| *other != asked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(number: usize) -> EtagCacheKey {
        EtagCacheKey::new(&format!("https://api.example.org/{number}").parse().unwrap(), None)
    }

    fn page(size: usize) -> CachedResponse {
        CachedResponse {
            etag: HeaderValue::from_static("\"x\""),
            headers: HeaderMap::new(),
            body: vec![0; size].into(),
        }
    }

    #[test]
    fn the_oldest_make_room() {
        let mut kept = EtagCache::default();
        for number in 0..100 {
            kept.keep(asked(number), page(1 << 20));
            kept.keep(asked(number), page(1 << 20));
            assert!(kept.size <= MOST);
            assert_eq!(
                (kept.pages.len(), kept.size),
                (kept.order.len(), kept.pages.values().map(CachedResponse::size).sum())
            );
        }
        assert!(kept.get(asked(99)).is_some() && kept.get(asked(0)).is_none());
        assert_eq!(kept.pages.len(), 31);
        kept.keep(asked(99), page(MOST));
        assert!(kept.get(asked(99)).is_none(), "one alone does not push out all others");
        assert_eq!(kept.pages.len(), 30);
    }

    #[test]
    fn who_asks_matters() {
        let url: Url = "https://api.example.org/a".parse().unwrap();
        let (ada, ben) = (HeaderValue::from_static("Bearer ada"), HeaderValue::from_static("Bearer ben"));
        let all = [
            EtagCacheKey::new(&url, None),
            EtagCacheKey::new(&url, Some(&ada)),
            EtagCacheKey::new(&url, Some(&ben)),
            asked(1),
        ];
        assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), 4);
    }
}
