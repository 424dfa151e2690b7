//! `silo doctor`.

use clap::Args;

use super::render::{json_line, tame};
use super::{Exit, print};
use crate::app::{Finding, Verdict, examine};
use crate::config::{Flags, Settings};
use crate::engine::docker::Docker;
use crate::engine::runtime::Runtime as _;

#[derive(Args)]
#[command(after_help = "Exit codes: 0 the service can work, notices or not; 1 something is bad.")]
pub(super) struct Options {
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Address of the container engine; without one the usual sockets of Docker and Podman are tried
    #[arg(long, value_name = "ADDRESS", env = "DOCKER_HOST")]
    engine: Option<String>,
}

pub(super) async fn run(flags: &Flags, options: &Options) -> anyhow::Result<Exit> {
    let settings = Settings::load(flags)?;
    let mut findings = examine(&settings).await;
    findings.push(container_engine(options.engine.as_deref()).await);
    if options.json {
        print(json_line(&findings)?)?;
    } else {
        print(findings.iter().map(lines).collect::<String>())?;
    }
    let worst = findings.iter().map(|finding| finding.verdict).max();
    Ok(if worst == Some(Verdict::Bad) { Exit::Failed } else { Exit::Done })
}

async fn container_engine(at: Option<&str>) -> Finding {
    const ABOUT: &str = "container engine";
    let opened = match Docker::open(at).await {
        Ok(docker) => docker.engine().await,
        Err(why) => Err(why),
    };
    match opened {
        Ok(engine) => {
            let text = format!("{} at {} ({})", engine.name, engine.address, engine.platform);
            Finding::new(ABOUT, Verdict::Good, text, "")
        }
        Err(why) => Finding::new(ABOUT, Verdict::Notice, why.to_string(), "only silo run and silo batch need one"),
    }
}

fn lines(finding: &Finding) -> String {
    let mark = match finding.verdict {
        Verdict::Good => "good",
        Verdict::Notice => "notice",
        Verdict::Bad => "BAD",
    };
    let advice = match finding.advice.as_str() {
        "" => String::new(),
        advice => format!("{:26}{advice}\n", ""),
    };
    format!("{mark:<8}{:<18}{}\n{advice}", finding.about, tame(&finding.text))
}
