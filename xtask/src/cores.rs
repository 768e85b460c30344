//! The processors that firmware is checked on, and the boards of QEMU that run its images.

use std::path::Path;
use std::process::Command;

use crate::run::{command, exists};

/// A processor that firmware is checked or measured on.
pub(crate) struct Core {
    pub(crate) name: &'static str,
    pub(crate) target: &'static str,
    /// What selects it for the C compiler.
    pub(crate) flags: &'static [&'static str],
    pub(crate) board: &'static Board,
}

/// A board that QEMU has, and what images for it are linked from.
pub(crate) struct Board {
    /// The prefix of the C compiler's and binary utilities' names.
    tools: &'static str,
    /// Its start-up code, output and link script.
    pub(crate) folder: &'static str,
    qemu: &'static str,
    machine: &'static [&'static str],
    /// Where its flash and RAM begin, if not where the link script has them.
    pub(crate) memory: &'static [&'static str],
}

const ARM: Board = Board {
    tools: "arm-none-eabi",
    folder: "examples/c/firmware/cortex_m",
    qemu: "qemu-system-arm",
    machine: &["-M", "mps2-an386"],
    memory: &[],
};

/// As a reset leaves it, in the secure state.
const ARM_V8: Board = Board {
    machine: &["-M", "mps2-an505"],
    memory: &["-Wl,--defsym=flash_origin=0x10000000", "-Wl,--defsym=ram_origin=0x38000000"],
    ..ARM
};

const RISC_V: Board = Board {
    tools: "riscv64-unknown-elf",
    folder: "examples/c/firmware/riscv",
    qemu: "qemu-system-riscv32",
    machine: &["-M", "virt", "-bios", "none"],
    memory: &[],
};

pub(crate) const M4: Core = Core {
    name: "Cortex-M4",
    target: "thumbv7em-none-eabihf",
    flags: &["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"],
    board: &ARM,
};

/// Its images run on the board of the Cortex-M4.
pub(crate) const M0_PLUS: Core =
    Core { name: "Cortex-M0+", target: "thumbv6m-none-eabi", flags: &["-mcpu=cortex-m0plus", "-mthumb"], board: &ARM };

pub(crate) const M33: Core = Core {
    name: "Cortex-M33",
    target: "thumbv8m.main-none-eabihf",
    flags: &["-mcpu=cortex-m33", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"],
    board: &ARM_V8,
};

pub(crate) const RV32IMC: Core = Core {
    name: "RISC-V 32 (imc)",
    target: "riscv32imc-unknown-none-elf",
    flags: &["-march=rv32imc", "-mabi=ilp32"],
    board: &RISC_V,
};

/// The processors that every change is checked on.
pub(crate) const CHECKED: [&Core; 3] = [&M4, &M0_PLUS, &RV32IMC];

impl Board {
    /// The name of one of its tools: `gcc`, `ld`, `nm`.
    pub(crate) fn program(&self, tool: &str) -> String {
        format!("{}-{tool}", self.tools)
    }

    pub(crate) fn tool(&self, tool: &str) -> Result<Command, String> {
        let program = self.program(tool);
        if !exists(&program) {
            return Err(format!("{program} is missing; `cargo xtask setup` installs it"));
        }
        Ok(command(program, [""; 0]))
    }

    /// QEMU with an image, and with something at the other end of its serial port; `timeout` ends an image that hangs.
    pub(crate) fn emulator(&self, image: &Path, serial: &str) -> Result<Command, String> {
        if !exists(self.qemu) {
            return Err(format!("{} is missing; `cargo xtask setup` installs it", self.qemu));
        }
        let mut qemu = command("timeout", ["120", self.qemu]);
        qemu.args(self.machine).args(["-nographic", "-monitor", "none", "-serial", serial]);
        qemu.args(["-semihosting-config", "enable=on,target=native", "-kernel"]).arg(image);
        Ok(qemu)
    }
}
