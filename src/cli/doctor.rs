//! `silo doctor`.

use clap::Args;

use super::output::render::{json_line, tame};
use super::{ExitStatus, print};
use crate::app::{DiagnosticFinding, DiagnosticVerdict, examine};
use crate::config::{ConfigFlags, ServiceSettings};
use crate::http::too_few_handles;

#[derive(Args)]
#[command(after_help = "Exit codes: 0 no errors (there may be notices); 1 at least one error.")]
pub(super) struct Options {
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Address of the container engine to check [default: the service's, from runs.engine or Docker's and Podman's
    /// variables]
    #[arg(long, value_name = "ADDRESS")]
    engine: Option<String>,
}

pub(super) async fn run(flags: &ConfigFlags, options: &Options) -> anyhow::Result<ExitStatus> {
    let settings = ServiceSettings::load(flags)?;
    let mut findings = examine(&settings, options.engine.clone()).await;
    findings.push(file_handles(&settings));
    if options.json {
        print(json_line(&findings)?)?;
    } else {
        print(findings.iter().map(lines).collect::<String>())?;
    }
    let worst = findings.iter().map(|finding| finding.verdict).max();
    Ok(if worst == Some(DiagnosticVerdict::Bad) { ExitStatus::Failed } else { ExitStatus::Done })
}

/// The hard limit of this process: the service raises its soft limit to it.
fn file_handles(settings: &ServiceSettings) -> DiagnosticFinding {
    const ABOUT: &str = "file handles";
    let wanted = settings.http.connections;
    match too_few_handles(wanted) {
        None => DiagnosticFinding::new(
            ABOUT,
            DiagnosticVerdict::Good,
            format!("enough for {wanted} connections (http.connections)"),
            "",
        ),
        Some((possible, handles)) => DiagnosticFinding::new(
            ABOUT,
            DiagnosticVerdict::Notice,
            format!("{handles} at most, enough for {possible} connections of {wanted} (http.connections)"),
            "raise the limit for the service: LimitNOFILE in systemd, ulimit -Hn in a shell",
        ),
    }
}

fn lines(finding: &DiagnosticFinding) -> String {
    let mark = match finding.verdict {
        DiagnosticVerdict::Good => "good",
        DiagnosticVerdict::Notice => "notice",
        DiagnosticVerdict::Bad => "BAD",
    };
    let advice = match finding.advice.as_str() {
        "" => String::new(),
        advice => format!("{:26}{advice}\n", ""),
    };
    format!("{mark:<8}{:<18}{}\n{advice}", finding.about, tame(&finding.text))
}
