//! The example as a firmware image: runs the registrations at start and prints the result over semihosting.
//! Ends with the debugger's exit call, whose status is the result; `cargo xtask bare` runs it in QEMU.
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", no_main)]

#[cfg(not(target_os = "none"))]
fn main() {
    assert!(bare_flow::run().is_ok_and(|report| report.assigned && report.refusal_explained));
}

#[cfg(target_os = "none")]
mod board {
    use core::panic::PanicInfo;

    #[cfg(target_arch = "arm")]
    use cortex_m_rt::entry;
    #[cfg(target_arch = "riscv32")]
    use riscv_rt::entry;
    use semihosting::io::{Write, stdout};
    use semihosting::process::ExitCode;

    #[entry]
    fn start() -> ! {
        let report = bare_flow::run().ok();
        let assigned = report.as_ref().is_some_and(|report| report.assigned);
        let explained = report.is_some_and(|report| report.refusal_explained);
        print(if assigned { "assigned to hub-a.test\n" } else { "NOT assigned\n" });
        print(if explained { "refusal explained by the clock\n" } else { "refusal NOT explained\n" });
        #[cfg(feature = "control")]
        print(["reachable panic\n"][core::hint::black_box(0)]);
        if assigned && explained { ExitCode::SUCCESS } else { ExitCode::FAILURE }.exit_process()
    }

    /// Without a debugger nothing receives the output, which is not an error.
    fn print(text: &str) {
        if let Ok(mut out) = stdout() {
            let _ = out.write_all(text.as_bytes());
        }
    }

    /// Rust requires one; the linker removes it, since it is not reachable.
    #[panic_handler]
    fn panic(_: &PanicInfo<'_>) -> ! {
        loop {}
    }
}
