use std::fs;

use super::*;

const STEP_BYTES: usize = 8 + 4 * 2 + 32;

fn header() -> Header {
    Header {
        manifest: B256::repeat_byte(1),
        seed: B256::repeat_byte(2),
        weights: B256::ZERO,
        parameters: 2,
        steps: 3,
    }
}

fn step(t: usize) -> Step {
    Step { loss: 0.5 + t as f64, gradient: vec![t as f32, -0.25] }
}

fn write(path: &Path, steps: usize) -> B256 {
    let mut writer = TranscriptWriter::open(path, header(), |_, _| Ok(())).unwrap();
    for t in writer.steps()..steps {
        writer.append(&step(t)).unwrap();
    }
    writer.hash()
}

#[test]
fn a_transcript_has_the_stated_bytes_and_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let hash = write(&path, 3);
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes.len(), HEADER_BYTES + 3 * STEP_BYTES);
    assert_eq!(
        blake3::hash(&bytes).to_hex().as_str(),
        "1aa4289088fc4cd557f4bd5b11b0d30057c6fa215054812705df589a90c618c6"
    );
    let mut transcript = Transcript::open_for(&path, &header()).unwrap();
    assert_eq!(transcript.hash(), hash);
    for t in [2, 0, 1] {
        assert_eq!(transcript.step(t).unwrap(), step(t));
    }
}

#[test]
fn a_transcript_cut_anywhere_is_completed_to_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    write(&path, 3);
    let whole = fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let kept = cut.saturating_sub(HEADER_BYTES) / STEP_BYTES;
        assert!(Transcript::open(&path).is_err(), "cut at {cut}");
        let mut seen = Vec::new();
        let writer = TranscriptWriter::open(&path, header(), |t, s| {
            seen.push((t, s));
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, (0..kept).map(|t| (t, step(t))).collect::<Vec<_>>());
        drop(writer);
        write(&path, 3);
        assert_eq!(fs::read(&path).unwrap(), whole, "cut at {cut}");
    }
}

#[test]
fn a_last_step_that_was_only_half_on_disk_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    write(&path, 2);
    let whole = fs::read(&path).unwrap();
    let mut torn = whole.clone();
    let half = HEADER_BYTES + STEP_BYTES + STEP_BYTES / 2;
    torn[half..].fill(0);
    fs::write(&path, &torn).unwrap();
    assert_eq!(TranscriptWriter::open(&path, header(), |_, _| Ok(())).unwrap().steps(), 1);
    write(&path, 2);
    assert_eq!(fs::read(&path).unwrap(), whole);
}

#[test]
fn any_changed_byte_is_refused_and_its_step_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    write(&path, 3);
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(&path, &changed).unwrap();
        let error = Transcript::open(&path).unwrap_err();
        match at.checked_sub(HEADER_BYTES) {
            None => assert!(matches!(error, Error::Transcript { .. }), "byte {at}: {error}"),
            Some(body) => {
                let expected = body / STEP_BYTES;
                assert!(
                    matches!(error, Error::TamperedStep { step, .. } if step == expected),
                    "byte {at}: {error}"
                );
                if expected < 2 {
                    let resumed = TranscriptWriter::open(&path, header(), |_, _| Ok(()));
                    assert!(matches!(resumed, Err(Error::TamperedStep { .. })), "byte {at}");
                }
            }
        }
    }
}

#[test]
fn a_file_of_something_else_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let check = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        assert!(Transcript::open(&path).is_err());
        assert!(TranscriptWriter::open(&path, header(), |_, _| Ok(())).is_err());
        assert_eq!(fs::read(&path).unwrap(), bytes);
    };
    check(b"notes");
    check(&[0xff; 400]);
    for (parameters, steps) in [(u64::MAX, 3), (2, u64::MAX), (0, 3), (2, 0)] {
        check(&Header { parameters, steps, ..header() }.encode());
    }
    let other = Header { seed: B256::repeat_byte(9), ..header() };
    fs::remove_file(&path).unwrap();
    write(&path, 3);
    let error = Transcript::open_for(&path, &other).unwrap_err().to_string();
    assert!(error.contains("transcript of another run: its seed is"), "{error}");
    assert!(TranscriptWriter::open(&path, other, |_, _| Ok(())).is_err());
}

#[test]
fn a_transcript_that_grew_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    write(&path, 3);
    let mut bytes = fs::read(&path).unwrap();
    bytes.push(0);
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(Transcript::open(&path), Err(Error::Transcript { .. })));
}

#[test]
fn a_step_changed_after_opening_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    write(&path, 3);
    let mut transcript = Transcript::open(&path).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[HEADER_BYTES + STEP_BYTES + 9] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(transcript.step(1), Err(Error::TamperedStep { step: 1, .. })));
    assert!(transcript.step(0).is_ok());
}
