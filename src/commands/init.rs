//! `git orch init`: begins the ledger and puts hooks in place for coders' worktrees; `--undo` takes all of it away.

mod join;
pub mod undo;

use anyhow::Result;

use super::Ctx;
use crate::answer::Reply;
use crate::config;
use crate::error::UserError;
use crate::git::Repo;
use crate::hooks;
use crate::ledger::Ledger;
use crate::ledger::layout::Place;
use crate::model::board::LOCAL;
use crate::model::{Actor, Op, Power, Settings, Signing};

/// Set up git-orch in this repository
///
/// Begins the ledger, a branch of its own that shares nothing with your code, and puts hooks in place that
/// run in coders' worktrees only. Your working tree, index, branches, configuration values and hooks stay
/// as they are. Running it again is harmless. In a clone of a repository that has a ledger already, it takes
/// part in that; remotes are asked for one.
#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// Branch that the work starts from and returns to [default: the one checked out]
    #[arg(long, value_name = "BRANCH")]
    base: Option<String>,
    /// Make this remote's ledger the truth, so that any number of machines may work; `local` begins one of this
    /// clone's own and asks no remote
    #[arg(long, value_name = "NAME")]
    remote: Option<String>,
    /// Sign every transition and every agent's commits with SSH keys, `ssh`, or no more, `off`
    #[arg(long, value_name = "HOW")]
    signing: Option<Signing>,
    /// Take everything of git-orch's away again; refuses while work would be lost
    #[arg(long, conflicts_with_all = ["base", "remote", "signing"])]
    undo: bool,
}

/// Runs the command.
///
/// # Errors
///
/// There is no repository, no commit on the base branch, or something in the way of the ledger; or nobody knows
/// where the main worktree is.
pub fn run(ctx: &Ctx, args: InitArgs) -> Result<Reply> {
    let repo = ctx.repo()?;
    ctx.require(Power::SetUp)?;
    if args.undo {
        return undo::run(ctx, &repo);
    }
    repo.require_main_worktree()?;
    set_up(ctx, &repo, args)?;
    // There was no place for it before.
    repo.note_main_worktree();
    Ok(Reply::default())
}

fn set_up(ctx: &Ctx, repo: &Repo, args: InitArgs) -> Result<()> {
    if let Some(ledger) = existing(repo)? {
        return renew(ctx, join::finish(ctx, ledger)?, &args);
    }
    if let Some(remote) = join::candidate(ctx, repo, args.remote.as_deref())? {
        return join::run(ctx, repo, &remote, args);
    }
    begin(ctx, repo, &args)
}

/// Opens the ledger if there is one, and refuses if its name belongs to something else.
fn existing(repo: &Repo) -> Result<Option<Ledger>> {
    let name = config::ledger_ref(repo);
    let branch = name.trim_start_matches("refs/heads/").to_owned();
    let taken =
        |what: String| UserError::new(what).hint(format!("git config orch.ledger {branch}-ledger"));
    if repo.read_ref(&name)?.is_some() {
        let ledger = Ledger::open(repo.reopen()?, Actor::Human)?;
        if ledger.read(&Place::Settings.path())?.is_none() {
            return Err(taken(format!("branch {branch} exists and is no ledger")).into());
        }
        return Ok(Some(ledger));
    }
    // A branch of the same name as a directory of branches cannot be made.
    if let Some(below) = first_ref(repo, &format!("{name}/"))? {
        return Err(taken(format!(
            "branch {} leaves no room for the ledger's branch {branch}",
            below.trim_start_matches("refs/heads/")
        ))
        .into());
    }
    if repo.read_ref("refs/heads/orch")?.is_some() {
        return Err(
            UserError::new("branch orch leaves no room for branches below orch/")
                .hint("git branch --move orch old-orch")
                .into(),
        );
    }
    Ok(None)
}

/// Returns the first ref below a prefix.
fn first_ref(repo: &Repo, prefix: &str) -> Result<Option<String>> {
    let found = repo
        .git()
        .args(["for-each-ref", "--count=1", "--format=%(refname)", prefix])
        .read()?;
    Ok(Some(found).filter(|name| !name.is_empty()))
}

/// Puts in order what may have suffered since the first time: hooks, and the path of this program in them.
fn renew(ctx: &Ctx, mut ledger: Ledger, args: &InitArgs) -> Result<()> {
    let settings = &ledger.board().settings;
    if let Some(base) = args.base.as_deref().filter(|base| *base != settings.base) {
        return Err(UserError::new(format!(
            "there is a ledger already, and its base branch is {}",
            settings.base
        ))
        .hint(format!("write `base = \"{base}\"` below `[run]` in a plan"))
        .into());
    }
    hooks::install(ledger.repo())?;
    sign(&mut ledger, args.signing)?;
    if let Some(remote) = args.remote.as_deref().filter(|remote| *remote != LOCAL) {
        ledger.publish(remote)?;
    }
    tell(ctx, &ledger, Begun::Before);
    Ok(())
}

fn begin(ctx: &Ctx, repo: &Repo, args: &InitArgs) -> Result<()> {
    let base = choose_base(repo, args.base.clone())?;
    let was_there = repo.orch_dir().exists();
    let made = || -> Result<Ledger> {
        hooks::install(repo)?;
        let settings = Settings {
            base: base.clone(),
            ..Settings::default()
        };
        Ledger::create(repo.reopen()?, settings)?;
        Ledger::open(repo.reopen()?, Actor::Human)
    };
    match made() {
        Ok(mut ledger) => {
            sign(&mut ledger, args.signing)?;
            if let Some(remote) = args.remote.as_deref().filter(|remote| *remote != LOCAL) {
                ledger.publish(remote)?;
            }
            tell(ctx, &ledger, Begun::Now);
            Ok(())
        }
        Err(error) => {
            // What could not be finished is taken back; the first error is the one to tell.
            let _ = hooks::uninstall(repo);
            if !was_there {
                let _ = std::fs::remove_dir_all(repo.orch_dir());
            }
            Err(error)
        }
    }
}

/// Brings the ledger's word about signing to what is asked for; the machine's key is made where there is none.
pub(super) fn sign(ledger: &mut Ledger, asked: Option<Signing>) -> Result<()> {
    let op = match asked {
        None => return Ok(()),
        Some(Signing::Ssh) if ledger.board().is_signed() => {
            // A machine that takes part has a key of its own, for a person to add where one may sign.
            ledger.machine_signer()?;
            return Ok(());
        }
        Some(Signing::Ssh) => Op::Signing(Signing::Ssh, vec![ledger.machine_signer()?]),
        Some(Signing::Off) => Op::Signing(Signing::Off, Vec::new()),
    };
    ledger.transact(op).map(drop)
}

/// Returns the base branch, which must have a commit to start from.
fn choose_base(repo: &Repo, named: Option<String>) -> Result<String> {
    let exists = |branch: &str| repo.read_ref(&format!("refs/heads/{branch}"));
    let head = repo.head_branch();
    let Some(any) = first_ref(repo, "refs/heads/")? else {
        return Err(
            UserError::new("there are no commits yet, so there is nothing to start from")
                .hint("git commit --allow-empty -m 'Begin'")
                .into(),
        );
    };
    let mut likely = any.trim_start_matches("refs/heads/").to_owned();
    for branch in ["main", "master"] {
        if exists(branch)?.is_some() {
            likely = branch.to_owned();
            break;
        }
    }
    let hint = format!("git orch init --base {likely}");
    let base = match (named, head) {
        (Some(base), _) => {
            let short = base.strip_prefix("refs/heads/");
            short.map(str::to_owned).unwrap_or(base)
        }
        (None, Some(head)) => head,
        (None, None) => {
            let error = UserError::new("HEAD is detached, so there is no base branch to take");
            return Err(error.hint(hint).into());
        }
    };
    if exists(&base)?.is_none() {
        return Err(
            UserError::new(format!("there is no branch {base} with a commit on it"))
                .hint(hint)
                .into(),
        );
    }
    if base.starts_with("orch/") {
        return Err(UserError::new(format!(
            "branch {base} has a name that git-orch keeps for itself, so it cannot be the base"
        ))
        .hint(hint)
        .into());
    }
    Ok(base)
}

/// How the ledger came to be here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    /// It was begun.
    Now,
    /// It was there.
    Before,
    /// It was taken from a remote.
    Joined,
}

fn tell(ctx: &Ctx, ledger: &Ledger, begun: Begun) {
    let (repo, base) = (ledger.repo(), &ledger.board().settings.base);
    let tip = ledger.tip().map(|tip| tip.to_string());
    let next = [
        "git orch plan check plan.toml",
        "git orch plan apply plan.toml",
    ];
    if ctx.ui.is_json() {
        ctx.ui.json(&serde_json::json!({
            "created": begun == Begun::Now,
            "joined": begun == Begun::Joined,
            "remote": ledger.remote(),
            "machine": ledger.machine(),
            "ledger": ledger.branch(),
            "commit": tip,
            "base": base,
            "hooks": repo.orch_dir().join("hooks"),
            "worktrees": repo.worktrees_dir(),
            "next": next,
        }));
        return;
    }
    let what = match begun {
        Begun::Now => "git-orch is set up",
        Begun::Before => "git-orch was set up already; its hooks are in order",
        Begun::Joined => "this clone takes part in the work",
    };
    let truth = match ledger.remote() {
        Some(remote) => format!("\n  remote     {remote}, whose ledger is the truth"),
        None => String::new(),
    };
    if begun == Begun::Joined {
        ctx.ui.answer(&format!(
            "{what}\n  ledger     branch {}{truth}\n  machine    {}\nnext: `git orch work --slots 2`",
            ledger.branch(),
            ledger.machine()
        ));
        return;
    }
    ctx.ui.answer(&format!(
        "{what}\n  ledger     branch {}{truth}\n  base       branch {base}\n  worktrees  {}\n  \
         hooks      in those worktrees only; the ones you have still run there\n\
         next: write a plan, then `{}` and `{}`",
        ledger.branch(),
        repo.worktrees_dir().display(),
        next[0],
        next[1],
    ));
}
