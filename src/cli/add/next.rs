//! What to do once a version stands in the repository.

use std::path::Path;

use crate::{
    repository::{Version, shell},
    review::git::Repository,
};

/// The commands that lead from the version in `folder`, of the repository
/// `models`, to its pull request. Each can be pasted into a shell as it is.
pub(super) fn steps(
    models: &Path,
    folder: &Path,
    (name, version): (&str, &Version),
    was_moved: bool,
) -> String {
    let mut out = String::from("Next:\n");
    if was_moved {
        out += "  cd .     # this folder has a new one in its place\n";
    }
    let repository = Repository::of(models);
    let own = shell(models);
    let option = if own == "models" {
        String::new()
    } else {
        format!(" --models {own}")
    };
    let review = "     # the review, before anybody else sees it";
    match &repository {
        Some(repository) if repository.commit("HEAD").is_ok() => {
            out += &format!("  modelship diff HEAD {own}{option}{review}\n");
        }
        _ => out += &format!("  modelship check{option}\n"),
    }
    let Some(repository) = repository else {
        out += "  Keep the models in a git repository: a pull request there is a release.\n";
        return out;
    };
    // Where the person stands in another repository, or in none, git is told
    // where to work, and what is named from here is named from the root.
    let is_here = Repository::of(Path::new("")).is_some_and(|here| here.top() == repository.top());
    let (git, folder) = if is_here {
        ("git".to_owned(), shell(folder))
    } else {
        let from_root = folder.canonicalize();
        let folder = from_root.as_deref().unwrap_or(folder);
        (format!("git -C {}", shell(repository.top())), shell(folder))
    };
    let branch = format!("{name}-{version}");
    out += &format!(
        "  {git} switch -c {branch} && {git} add {folder} && {git} commit -m \"{name} {version}\"\n  \
         {git} push -u origin {branch}     # then open the pull request\n"
    );
    out
}
