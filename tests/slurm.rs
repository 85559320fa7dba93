//! The Slurm template under a real Slurm, started here on loopback; where there is none to be had, it says so.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::common::machines::{Machines, wait_until};

/// Programs that it takes.
const PROGRAMS: [&str; 5] = ["munged", "slurmctld", "slurmd", "sbatch", "squeue"];

/// How long installing them may take, in seconds.
const PATIENCE: &str = "240";

fn missing() -> Option<&'static str> {
    let path = std::env::var("PATH").unwrap() + ":/usr/sbin:/sbin";
    let has = |program: &&str| {
        path.split(':')
            .any(|dir| Path::new(dir).join(program).exists())
    };
    PROGRAMS.into_iter().find(|program| !has(program))
}

/// Makes sure that Slurm is here and may be started; returns why not.
fn unavailable() -> Option<String> {
    let id = Command::new("id").arg("-u").output().unwrap();
    if String::from_utf8_lossy(&id.stdout).trim() != "0" {
        return Some(String::from("its daemons are started as root only"));
    }
    missing()?;
    let script =
        "apt-get update -qq && apt-get install -qq -y --no-install-recommends slurm-wlm munge";
    let installed = Command::new("timeout")
        .args([PATIENCE, "sh", "-c", script])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output();
    missing().map(|program| {
        let complaint = installed.map_or_else(
            |error| error.to_string(),
            |output| String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        );
        format!("there is no {program}, and it cannot be installed: {complaint}")
    })
}

/// Daemons on loopback; they end with this.
struct Slurm {
    dir: PathBuf,
    daemons: Vec<Child>,
}

impl Slurm {
    fn start(dir: PathBuf) -> Self {
        std::fs::create_dir_all(dir.join("state")).unwrap();
        std::fs::create_dir_all(dir.join("spool")).unwrap();
        let mut key = [0_u8; 1024];
        fastrand::fill(&mut key);
        std::fs::write(dir.join("munge.key"), key).unwrap();
        let chmod = Command::new("chmod")
            .args(["-R", "go-w,u=rwX"])
            .arg(&dir)
            .status();
        assert!(chmod.unwrap().success());
        let ports: Vec<TcpListener> = (0..2)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let port = |n: usize| ports[n].local_addr().unwrap().port();
        let here = dir.display();
        let conf = format!(
            "ClusterName=orch\nSlurmctldHost=localhost(127.0.0.1)\nSlurmctldPort={}\nSlurmdPort={}\n\
             SlurmUser=root\nSlurmdUser=root\nAuthType=auth/munge\nAuthInfo=socket={here}/munge.socket\n\
             CredType=cred/munge\nMpiDefault=none\nProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\n\
             SelectType=select/cons_tres\nSelectTypeParameters=CR_Core\nSchedulerType=sched/builtin\n\
             ReturnToService=2\nStateSaveLocation={here}/state\nSlurmdSpoolDir={here}/spool\n\
             SlurmctldPidFile={here}/slurmctld.pid\nSlurmdPidFile={here}/slurmd.pid\n\
             SlurmctldLogFile={here}/slurmctld.log\nSlurmdLogFile={here}/slurmd.log\n\
             SlurmdParameters=config_overrides\n\
             NodeName=localhost NodeAddr=127.0.0.1 CPUs=16 RealMemory=64000 State=UNKNOWN\n\
             PartitionName=main Nodes=localhost Default=YES MaxTime=INFINITE State=UP\n",
            port(0),
            port(1)
        );
        std::fs::write(dir.join("slurm.conf"), conf).unwrap();
        drop(ports);
        let mut slurm = Self {
            dir,
            daemons: Vec::new(),
        };
        let munge = |name: &str, file: &str| format!("--{name}={}", slurm.dir.join(file).display());
        let munge = [
            String::from("--foreground"),
            String::from("--force"),
            munge("key-file", "munge.key"),
            munge("socket", "munge.socket"),
            munge("pid-file", "munged.pid"),
            munge("log-file", "munged.log"),
            munge("seed-file", "munged.seed"),
        ];
        slurm.daemon("munged", &munge);
        let socket = slurm.dir.join("munge.socket");
        wait_until("munge", || socket.exists());
        slurm.daemon("slurmctld", &[String::from("-D"), String::from("-c")]);
        slurm.daemon("slurmd", &["-D", "-N", "localhost"].map(String::from));
        let idle = || slurm.run(slurm.command("sinfo").args(["-h", "-o", "%T"])) == "idle";
        wait_until("an idle node", idle);
        slurm
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap() + ":/usr/sbin:/sbin";
        command
            .env("PATH", path)
            .env("SLURM_CONF", self.dir.join("slurm.conf"))
            .stdin(Stdio::null());
        command
    }

    fn daemon(&mut self, program: &str, args: &[String]) {
        let log = std::fs::File::create(self.dir.join(format!("{program}.out"))).unwrap();
        let child = self
            .command(program)
            .args(args)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.daemons.push(child);
    }

    /// Runs a command and returns what it prints; nothing where it fails.
    fn run(&self, command: &mut Command) -> String {
        let output = command.output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Submits the template with an environment that the test's own commands have; returns the job's number.
    fn submit(&self, machines: &Machines, name: &str, args: &[&str]) -> String {
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/slurm.sh");
        let mut sbatch = machines.home.command("sbatch", &machines.home.outside());
        let logs = self.dir.join(format!("{name}-%a.log"));
        sbatch
            .env("SLURM_CONF", self.dir.join("slurm.conf"))
            .env("ORCH_REPO", machines.hub())
            .env("ORCH_SCRATCH", self.scratch())
            .args(["--parsable", "--output"])
            .arg(logs)
            .args(args)
            .arg(template);
        let output = sbatch.output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{complaint}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A stand-in for the nodes' own disks.
    fn scratch(&self) -> PathBuf {
        let dir = self.dir.join("scratch");
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn wait(&self, job: &str) {
        let queue = || self.run(self.command("squeue").args(["-h", "-j", job, "-o", "%T"]));
        wait_until("the end of the job", || {
            queue().is_empty() || queue() == "COMPLETED"
        });
    }

    fn logs(&self) -> String {
        let listing = std::fs::read_dir(&self.dir).unwrap().flatten();
        let is_log = |path: &PathBuf| path.to_string_lossy().ends_with(".log");
        let paths = listing.map(|entry| entry.path()).filter(is_log);
        let read = |path: PathBuf| {
            let text = std::fs::read(&path).unwrap();
            format!("== {}\n{}", path.display(), String::from_utf8_lossy(&text))
        };
        paths.map(read).collect()
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        for mut daemon in self.daemons.drain(..).rev() {
            let pid = daemon.id().to_string();
            let _ = Command::new("kill").arg(pid).status();
            let _ = daemon.wait();
        }
    }
}

#[test]
fn the_slurm_template_does_every_task_once_and_hands_back_what_is_cut_off() {
    if let Some(why) = unavailable() {
        eprintln!("skipped: the Slurm template was not tested, since {why}");
        return;
    }
    // The first five can only be done by five executors at the same time.
    let mut tasks = String::new();
    let mut task = |id: &str, run: &str| {
        tasks += &format!(
            "[[tasks]]\nid = \"{id}\"\nteam = 1\ntitle = \"Write {id}\"\nrun = '''\n{run}\n'''\n\n"
        );
    };
    let together = (0..5).fold(String::new(), |text, n| {
        format!("{text}while [ ! -e $OUT/began-{n} ]; do sleep 0.05; done\n")
    });
    for n in 0..5 {
        let run = format!("echo x > $OUT/began-{n}\n{together}echo {n} > {n}.txt");
        task(&format!("together-{n}"), &run);
    }
    for n in 5..12 {
        task(&format!("more-{n}"), &format!("echo {n} > {n}.txt"));
    }
    let plan = format!(
        "[run]\nname = \"cluster\"\n\n[[teams]]\nid = 1\nname = \"Builders\"\ncoders = 8\n\n{tasks}"
    );
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().display().to_string();
    let machines = Machines::new(&plan.replace("$OUT", &out));
    let slurm = Slurm::start(temp.path().join("slurm"));

    let job = slurm.submit(&machines, "all", &["--array=1-5"]);
    slurm.wait(&job);
    let story = machines.story();
    let ids = (0..5).map(|n| format!("together-{n}"));
    for id in ids.chain((5..12).map(|n| format!("more-{n}"))) {
        for verb in ["claim", "submit"] {
            let words = format!("{verb} {id}:");
            let told = story.iter().filter(|line| line.contains(&words)).count();
            assert_eq!(told, 1, "{words} {story:#?}\n{}", slurm.logs());
        }
    }
    let told = machines.home.git_in(
        machines.hub(),
        [
            "log",
            "--format=%(trailers:key=Orch-Machine,valueonly,separator=)",
            "orchestration",
        ],
    );
    for n in 1..=5 {
        assert!(
            told.contains(&format!("slurm-{job}-{n}")),
            "{told}\n{}",
            slurm.logs()
        );
    }

    cut_off(&machines, &slurm, &out);
    let left = std::fs::read_dir(slurm.scratch()).unwrap().count();
    assert_eq!(left, 0, "{}", slurm.logs());
}

/// A job that Slurm ends before its agent is done hands the task back, and what there is of it to the remote.
fn cut_off(machines: &Machines, slurm: &Slurm, out: &str) {
    let run = format!("echo part > long.txt; echo x > {out}/long; while :; do sleep 0.05; done");
    let args = [
        "task", "add", "--id", "long", "--team", "1", "--title", "Long", "--run", &run,
    ];
    machines.home.orch(args).ok();
    let job = slurm.submit(machines, "cut", &["--array=1-1"]);
    wait_until("the agent", || Path::new(out).join("long").exists());
    let signalled = slurm
        .command("scancel")
        .args(["--batch", "--signal=TERM", &format!("{job}_1")])
        .status();
    assert!(signalled.unwrap().success());
    slurm.wait(&job);
    assert_eq!(machines.state("long"), "ready", "{}", slurm.logs());
    let left = format!("refs/orch/left/{job}-1/team-1/long");
    assert_eq!(machines.file(&left, "long.txt"), "part", "{}", slurm.logs());
}
