//! The token server of a registry that replies `WWW-Authenticate: Bearer …` (distribution's "Token Authentication").
//!
//! It grants its only user all requested scopes, and anonymous clients `pull` on `public/…`: as at the big registries,
//! a token is issued even if it allows nothing. A wrong password gives 401.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::{Json, Router, routing::get};
use base64::{Engine, engine::general_purpose};
use rustls::SignatureScheme;
use rustls::pki_types::CertificateDer;
use rustls::sign::SigningKey;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

const SERVICE: &str = "test-registry";
const ISSUER: &str = "test-tokens";
/// Lifetime of tokens, in seconds.
const LIFETIME: i64 = 300;

/// Serves `GET /token` on a loopback port; stopped on drop.
pub struct TokenServer {
    realm: String,
    /// The certificate that the registry trusts.
    bundle: PathBuf,
    mint: Arc<Mint>,
    task: AbortHandle,
}

/// Issues tokens.
struct Mint {
    /// The only accepted `Authorization` header.
    authorization: String,
    key: Arc<dyn SigningKey>,
    certificate: CertificateDer<'static>,
    requests: AtomicUsize,
}

impl TokenServer {
    /// Starts it; key and certificate are written to the folder.
    pub async fn start(folder: &Path, user: &str, password: &str) -> Self {
        let (key_file, bundle) = (folder.join("token.key"), folder.join("token.pem"));
        let (certificate, key) = super::self_signed(&key_file, &bundle);
        let key = rustls::crypto::ring::default_provider().key_provider.load_private_key(key).expect("an RSA key");
        let mint = Arc::new(Mint {
            authorization: format!("Basic {}", general_purpose::STANDARD.encode(format!("{user}:{password}"))),
            key,
            certificate,
            requests: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port");
        let realm = format!("http://{}/token", listener.local_addr().expect("a bound listener has an address"));
        let router = Router::new().route("/token", get(answer)).with_state(Arc::clone(&mint));
        let task = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Self { realm, bundle, mint, task }
    }

    /// The registry's configuration for it (`auth.token`).
    pub fn config(&self) -> Value {
        json!({"realm": self.realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": self.bundle})
    }

    /// Number of token requests.
    pub fn requests(&self) -> usize {
        self.mint.requests.load(Ordering::SeqCst)
    }

    /// A token with all rights on the repository of a path below `/v2/`, without HTTP.
    pub fn token_for(&self, path: &str) -> String {
        let ends = ["/blobs/", "/manifests/", "/tags/"];
        let repository = ends.iter().find_map(|end| path.split_once(end)).map(|(repository, _)| repository);
        self.mint.token(&[match repository {
            Some(name) => json!({"type": "repository", "name": name, "actions": ["pull", "push", "delete"]}),
            None => json!({"type": "registry", "name": "catalog", "actions": ["*"]}),
        }])
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `GET /token?service=…&scope=repository:<name>:pull,push&scope=…`.
async fn answer(
    State(mint): State<Arc<Mint>>,
    headers: HeaderMap,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, StatusCode> {
    mint.requests.fetch_add(1, Ordering::SeqCst);
    let known = match headers.get(header::AUTHORIZATION) {
        None => false,
        Some(sent) if *sent == mint.authorization => true,
        Some(_) => return Err(StatusCode::UNAUTHORIZED),
    };
    let scopes = query.iter().filter(|(name, _)| name == "scope").flat_map(|(_, scopes)| scopes.split(' '));
    let access: Vec<Value> = scopes.filter_map(|scope| grant(scope, known)).collect();
    Ok(Json(json!({"token": mint.token(&access), "expires_in": LIFETIME})))
}

/// What is granted for a scope `type:name:action,action`.
fn grant(scope: &str, known: bool) -> Option<Value> {
    let (kind, rest) = scope.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    let public = kind == "repository" && name.starts_with("public/");
    let actions: Vec<&str> = actions.split(',').filter(|action| known || (public && *action == "pull")).collect();
    Some(json!({"type": kind, "name": name, "actions": actions}))
}

impl Mint {
    /// A JSON Web Token (RS256) with the certificate of its key (`x5c`).
    fn token(&self, access: &[Value]) -> String {
        #[expect(clippy::disallowed_methods, reason = "the registry checks the token by its own clock")]
        let now = chrono::Utc::now().timestamp();
        let certificate = general_purpose::STANDARD.encode(&self.certificate);
        let header = json!({"alg": "RS256", "typ": "JWT", "x5c": [certificate]});
        let claims = json!({
            "access": access, "aud": SERVICE, "exp": now + LIFETIME, "iat": now, "iss": ISSUER, "nbf": now - 10, "sub": "",
        });
        let encode = |bytes: &[u8]| general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signer = self.key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).expect("every RSA key can");
        let signature = signer.sign(signed.as_bytes()).expect("a 2048 bit key signs");
        format!("{signed}.{}", encode(&signature))
    }
}
