//! A local service inside the test, and the options with which the program connects to it.

use dps_emulator::{Emulator, EmulatorOptions, EnrollmentGroup, IndividualEnrollment};
use tokio::runtime::{Builder, Runtime};

use super::run::{Folder, GROUP_KEY, dps};
use dps_emulator::test_servers::proxy_server::{Manner, proxy};

/// A running service with a directory of the files that a command line names.
pub(crate) struct Service {
    // Declared before the runtime, inside of which it is stopped.
    emulator: Emulator,
    runtime: Runtime,
    pub(crate) folder: Folder,
}

impl Service {
    pub(crate) fn start() -> Self {
        Self::with(|options| options)
    }

    pub(crate) fn with(change: impl FnOnce(EmulatorOptions) -> EmulatorOptions) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let emulator = runtime.block_on(Emulator::start(change(EmulatorOptions::new()))).unwrap();
        let folder = Folder::new();
        folder.write("ca.pem", emulator.ca_pem());
        folder.write("owner", emulator.connection_string().expose());
        Self { emulator, runtime, folder }
    }

    pub(crate) fn emulator(&self) -> &Emulator {
        &self.emulator
    }

    /// Changes the service.
    pub(crate) fn set<R>(&self, change: impl FnOnce(&mut dps_emulator::Service) -> R) -> R {
        let _inside = self.runtime.enter();
        self.emulator.with_service(change)
    }

    /// Starts a proxy in front of the service and returns its address.
    pub(crate) fn start_proxy(&self, manner: Manner) -> String {
        format!("127.0.0.1:{}", self.runtime.block_on(proxy(manner)))
    }

    /// Enrolls a group and writes its primary key to the file `group.key`.
    pub(crate) fn enroll_group(&self, group: EnrollmentGroup) -> String {
        let now = self.emulator.now();
        let made = self.set(|service| service.put_group(now, group)).unwrap();
        self.folder.write("group.key", made.settings.attestation.primary.unwrap().expose())
    }

    /// Enrolls one device and writes its primary key to the file `device.key`.
    pub(crate) fn enroll(&self, enrollment: IndividualEnrollment) -> String {
        let now = self.emulator.now();
        let made = self.set(|service| service.put_enrollment(now, enrollment)).unwrap();
        self.folder.write("device.key", made.settings.attestation.primary.unwrap().expose())
    }

    /// Replaces the policy's key in the file `owner`.
    pub(crate) fn forge_owner(&self) {
        let endpoint = self.emulator.endpoint();
        let policy = "SharedAccessKeyName=provisioningserviceowner";
        self.folder.write("owner", format!("HostName={endpoint};{policy};SharedAccessKey={GROUP_KEY}"));
    }

    /// Returns a command line for the service's owner.
    pub(crate) fn as_owner(&self, line: &str, words: &[&str]) -> std::process::Command {
        let mut command = dps(line.split_whitespace().chain(words.iter().copied()));
        command.args([
            "--connection-string-file",
            &self.folder.file("owner"),
            "--ca-file",
            &self.folder.file("ca.pem"),
        ]);
        command
    }

    /// Returns a command line for a device of this service, without its key.
    pub(crate) fn as_device(&self, line: &str, id: &str, words: &[&str]) -> std::process::Command {
        let mut command = dps(line.split_whitespace());
        command.args(["--registration-id", id]).args(words);
        let given = |option| words.contains(&option);
        for (option, value) in [
            ("--id-scope", self.emulator.id_scope()),
            ("--endpoint", &self.emulator.endpoint()),
            ("--ca-file", &self.folder.file("ca.pem")),
        ] {
            let other_roots = option == "--ca-file" && given("--add-ca-file");
            if !given(option) && !other_roots {
                command.args([option, value]);
            }
        }
        command
    }
}
