//! Which form of the chain's files a folder holds, so that one of another version is refused and never misread.

use crate::ChainError;
use std::{fs, io::ErrorKind, path::Path};

/// Changes when blocks, state or journals change their form. Folders of format 1, which had one epoch of consensus, do not
/// say so.
const FORMAT: u64 = 3;

/// Refuses a folder of another format, and notes that of a new one.
///
/// # Errors
/// [`ChainError::Format`]; [`ChainError::Io`] if the note cannot be read or written.
pub(crate) fn check(folder: &Path) -> Result<(), ChainError> {
    let path = folder.join("format");
    let io = |source| ChainError::Io { path: path.clone(), source };
    let found = match fs::read_to_string(&path) {
        Ok(text) => text.trim().to_owned(),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(io(error)),
        Err(_) if folder.join("engine").exists() => "1".to_owned(),
        Err(_) => return fs::write(&path, format!("{FORMAT}\n")).map_err(io),
    };
    if found == FORMAT.to_string() {
        return Ok(());
    }
    Err(ChainError::Format { folder: folder.to_owned(), found, expected: FORMAT })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_another_format_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        check(folder.path()).unwrap();
        fs::create_dir(folder.path().join("engine")).unwrap();
        check(folder.path()).unwrap();
        fs::remove_file(folder.path().join("format")).unwrap();
        let error = check(folder.path()).unwrap_err().to_string();
        assert!(error.contains("format 1") && error.contains("anew"), "{error}");
        assert!(!folder.path().join("format").exists());
        fs::write(folder.path().join("format"), "2\n").unwrap();
        assert!(matches!(check(folder.path()), Err(ChainError::Format { expected: 3, .. })));
    }
}
