//! Network namespaces for tests: each is a thread of its own that took the namespace along, so nothing of the machine is touched and the
//! kernel cleans up when the process ends.

use std::process::Command;
use std::sync::mpsc;
use std::thread;

use rustix::thread::{UnshareFlags, gettid};

type Job = Box<dyn FnOnce() + Send>;

/// A namespace with loopback up.
pub(crate) struct Namespace {
    jobs: mpsc::Sender<Job>,
    path: String,
}

impl Namespace {
    /// A fresh one.
    pub(crate) fn new() -> Namespace {
        assert!(rustix::process::geteuid().is_root(), "this test makes network namespaces: run it as root");
        let (jobs, inbox) = mpsc::channel::<Job>();
        thread::spawn(move || {
            #[expect(deprecated, reason = "only the unsharing of file descriptors is unsafe")]
            rustix::thread::unshare(UnshareFlags::NEWNET).expect("a network namespace: the test needs CAP_SYS_ADMIN");
            for job in inbox {
                job();
            }
        });
        let mut namespace = Namespace { jobs, path: String::new() };
        namespace.path =
            namespace.run(|| format!("/proc/{}/task/{}/ns/net", std::process::id(), gettid().as_raw_nonzero()));
        namespace.ip("link set lo up");
        namespace
    }

    /// Runs this inside; threads and processes it starts live there too.
    pub(crate) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (result, receiver) = mpsc::channel();
        self.jobs.send(Box::new(move || drop(result.send(job())))).expect("the thread of the namespace lives");
        receiver.recv().expect("the job inside the namespace did not panic")
    }

    /// Runs this inside as another user and group, on a thread of its own.
    pub(crate) fn run_as<T: Send + 'static>(&self, uid: u32, gid: u32, job: impl FnOnce() -> T + Send + 'static) -> T {
        self.run(move || {
            let thread = thread::spawn(move || {
                let (uid, gid) = (rustix::process::Uid::from_raw(uid), rustix::process::Gid::from_raw(gid));
                rustix::thread::set_thread_res_gid(gid, gid, gid).expect("root may change its group");
                rustix::thread::set_thread_res_uid(uid, uid, uid).expect("root may change its user");
                job()
            });
            thread.join().expect("the job inside the namespace did not panic")
        })
    }

    /// Runs `ip` with these arguments inside.
    pub(crate) fn ip(&self, arguments: &str) {
        let arguments: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
        self.run(move || {
            let output = Command::new("ip").args(&arguments).output().expect("the program ip (package iproute2)");
            assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        });
    }

    /// Joins two namespaces by a cable whose ends are both named `eth0`.
    pub(crate) fn join(&self, other: &Namespace) {
        self.ip(&format!("link add eth0 type veth peer name eth0 netns {}", other.path));
        for end in [self, other] {
            end.ip("link set eth0 up");
        }
    }
}
