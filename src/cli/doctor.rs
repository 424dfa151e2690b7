//! `silo doctor`.

use clap::Args;

use super::output::render::{json_line, tame};
use super::{ExitStatus, print};
use crate::app::{DiagnosticFinding, DiagnosticVerdict, examine};
use crate::config::{ConfigFlags, ServiceSettings};
use crate::http::file_handle_finding;

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
    findings.push(file_handle_finding(settings.http.connections));
    if options.json {
        print(json_line(&findings)?)?;
    } else {
        print(findings.iter().map(lines).collect::<String>())?;
    }
    let worst = findings.iter().map(|finding| finding.verdict).max();
    Ok(if worst == Some(DiagnosticVerdict::Bad) { ExitStatus::Failed } else { ExitStatus::Done })
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
