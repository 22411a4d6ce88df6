//! A folder put in the place of another in one step.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};

/// In a scratch folder: where its folder `old` stood.
const PLACE: &str = "place";
/// In a scratch folder: what stood in the place of the new folder.
const OLD: &str = "old";

/// Puts the folder `new`, which lies in the folder `scratch`, at `place`. What
/// stands there changes places with it. Whoever looks, and whatever ends this
/// process, finds the one or the other, whole.
///
/// Where the file system can't exchange folders there is a moment in which
/// neither stands at `place`; [`put_back`] mends what a kill leaves then.
///
/// # Errors
/// Those of the file system; nothing has changed then.
pub(super) fn put(scratch: &Path, new: &Path, place: &Path) -> io::Result<()> {
    match renameat_with(CWD, new, CWD, place, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        // There is nothing yet to exchange it with.
        Err(Errno::NOENT) => fs::rename(new, place),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => in_turn(scratch, new, place),
        Err(e) => Err(e.into()),
    }
}

fn in_turn(scratch: &Path, new: &Path, place: &Path) -> io::Result<()> {
    if !place.exists() {
        return fs::rename(new, place);
    }
    let old = scratch.join(OLD);
    let real = place.canonicalize()?;
    fs::write(scratch.join(PLACE), real.as_os_str().as_bytes())?;
    fs::rename(&real, &old)?;
    fs::rename(new, &real).or_else(|e| {
        fs::rename(&old, &real)?;
        Err(e)
    })
}

/// Puts back what a process that was killed had taken from its place, and not
/// put anything there. Elsewhere this does nothing.
///
/// # Errors
/// Those of the file system: what is in `scratch` must not be lost then.
pub(super) fn put_back(scratch: &Path) -> io::Result<()> {
    let old = scratch.join(OLD);
    let place = match fs::read(scratch.join(PLACE)) {
        Ok(place) => PathBuf::from(OsString::from_vec(place)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    if old.exists() && !place.exists() {
        fs::rename(old, place)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folders(tempfile::TempDir);

    impl Folders {
        fn new() -> Self {
            let own = Self(tempfile::tempdir().unwrap());
            own.put("scratch/new", "new");
            own
        }

        fn at(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }

        fn put(&self, path: &str, content: &str) {
            fs::create_dir_all(self.at(path)).unwrap();
            fs::write(self.at(path).join("file"), content).unwrap();
        }

        fn content(&self, path: &str) -> Option<String> {
            fs::read_to_string(self.at(path).join("file")).ok()
        }
    }

    #[test]
    fn a_folder_changes_places_with_what_stood_there() {
        let own = Folders::new();
        let (scratch, new, place) = (own.at("scratch"), own.at("scratch/new"), own.at("place"));
        put(&scratch, &new, &place).unwrap();
        assert_eq!(own.content("place").unwrap(), "new");
        assert!(!new.exists());
        own.put("scratch/new", "newer");
        put(&scratch, &new, &place).unwrap();
        assert_eq!(own.content("place").unwrap(), "newer");
        assert_eq!(own.content("scratch/new").unwrap(), "new");
        assert!(put(&scratch, &own.at("none"), &place).is_err());
        assert_eq!(own.content("place").unwrap(), "newer");
    }

    #[test]
    fn where_folders_can_t_be_exchanged_a_kill_loses_nothing() {
        let own = Folders::new();
        own.put("place", "old");
        let (scratch, place) = (own.at("scratch"), own.at("place"));
        // It fails between the two steps, and goes back.
        assert!(in_turn(&scratch, &own.at("none"), &place).is_err());
        assert_eq!(own.content("place").unwrap(), "old");
        // A kill there can't go back.
        fs::rename(&place, scratch.join(OLD)).unwrap();
        put_back(&scratch).unwrap();
        assert_eq!(own.content("place").unwrap(), "old");
        in_turn(&scratch, &own.at("scratch/new"), &place).unwrap();
        put_back(&scratch).unwrap();
        assert_eq!(own.content("place").unwrap(), "new");
        assert_eq!(own.content("scratch/old").unwrap(), "old");
        // And one that never began has nothing to put back.
        put_back(&own.at("place")).unwrap();
    }
}
