//! What tests and benchmarks share: fake registries, real ones, image layouts, judged searches, measures.

pub mod docker_registry;
pub mod draw;
pub mod fake_registry;
pub mod figures;
pub mod file_server;
pub mod judged;
pub mod kinds;
pub mod layout;
pub mod manifest;
pub mod needs;
pub mod small_disk;
pub mod token_desk;
pub mod token_server;

use std::path::Path;
use std::process::Command;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Standard output of a program; panics if it fails.
pub fn output(command: &mut Command) -> Vec<u8> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{name}: {error}: run tests/run, which installs what is needed"));
    assert!(output.status.success(), "{name} fails: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Makes a key and a self-signed certificate, valid for two days; both are left in the files.
pub fn self_signed(key_file: &Path, certificate_file: &Path) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let mut openssl = Command::new("openssl");
    openssl.args("req -x509 -newkey rsa:2048 -nodes -subj /CN=test -days 2 -keyout".split(' ')).arg(key_file);
    output(openssl.arg("-out").arg(certificate_file));
    let certificate = CertificateDer::from_pem_file(certificate_file).expect("openssl writes a certificate");
    (certificate, PrivateKeyDer::from_pem_file(key_file).expect("openssl writes a key"))
}
