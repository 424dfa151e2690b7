//! Output of jobs.

use std::fs;

use silo::engine::run::logs::LogTotals;

use super::Job;

#[tokio::test]
async fn bytes_come_as_they_are_on_both_streams() {
    let job = Job::new("printf '\\001\\000\\377\\r\\n'; printf 'no end' >&2; head -c 100000 /dev/zero").await;
    let done = job.run().await;
    let mut expected = b"\x01\0\xff\r\n".to_vec();
    expected.resize(100_005, 0);
    assert!(job.read("_stdout.txt") == expected && done.live == expected);
    assert_eq!(job.text("_stderr.txt"), "no end");
    assert_eq!(done.remains.printed, LogTotals { stdout_bytes: 100_005, stderr_bytes: 6, truncated: false });
    let combined = job.text("combined.ndjson");
    let records: Vec<serde_json::Value> = combined.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(records.iter().any(|record| record["stream"] == "stderr" && record["text"] == "no end"));
    assert!(records.iter().any(|record| record["text"] == "\u{1}\0\u{fffd}"));
    assert!(records.iter().enumerate().all(|(at, record)| record["seq"] == at));
}

#[tokio::test]
async fn what_is_too_much_is_cut_and_the_job_goes_on() {
    let job = Job::new("head -c 300000000 /dev/zero | tr '\\0' x; echo end >&2").await;
    let before = peak_memory();
    let done = job.run().await;
    assert_eq!(done.main.unwrap().ended.exit_code, 0);
    assert_eq!(done.remains.printed, LogTotals { stdout_bytes: 300_000_000, stderr_bytes: 4, truncated: true });
    let (kept, cap) = (job.read("_stdout.txt"), 1 << 20);
    assert!(kept[..cap].iter().all(|byte| *byte == b'x'));
    assert_eq!(kept[cap..], *b"\n[silo: the job printed more than 1048576 bytes; the rest was not kept]\n");
    assert_eq!(job.text("_stderr.txt"), "end\n");
    assert!(job.read("combined.ndjson").len() < 5 << 20);
    // With some room for concurrent tests.
    assert!(peak_memory() - before < 200 * 1024, "{before} KiB before, {} KiB after", peak_memory());
}

/// In KiB.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim_end_matches("kB").trim().parse().unwrap()
}

#[tokio::test]
async fn logs_can_be_read_while_the_job_runs() {
    let job = Job::new("echo first; echo second; while [ ! -e /out/go ]; do sleep 0.05; done; exit 0").await;
    let folder = job.folder.path().to_owned();
    let done = job
        .watched(move |live| {
            if live.ends_with(b"second\n") {
                assert_eq!(fs::read(folder.join("_stdout.txt")).unwrap(), live);
                assert_eq!(fs::read_to_string(folder.join("combined.ndjson")).unwrap().lines().count(), 2);
                fs::write(folder.join("out/go"), "").unwrap();
            }
        })
        .await;
    assert_eq!(done.main.unwrap().ended.exit_code, 0);
}

#[tokio::test]
async fn a_watcher_who_leaves_disturbs_nobody() {
    let job = Job::new("yes | head -c 5000000").await;
    let (mut attempt, told) = job.attempt().await;
    drop(told);
    let out = job.out();
    let main = attempt.main(&job.container, job.room(&out), &job.stop).await.unwrap();
    assert_eq!((main.ended.exit_code, attempt.finish().printed.stdout_bytes), (0, 5_000_000));
}
