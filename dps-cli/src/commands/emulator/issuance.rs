//! The options of `dps emulator` for the certificates that it issues to devices.

use clap::{Args, ValueEnum};
use dps_emulator::{EmulatorOptions, IssuanceCodes};

/// What the emulator issues, and by what codes it refuses.
#[derive(Clone, Debug, PartialEq, Args)]
pub(crate) struct IssuanceRunArgs {
    /// The life of an issued certificate in days, 7 to 90. Default: 30
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(7..=90))]
    certificate_days: Option<u32>,
    /// Issue certificates for keys of EC P-384 only
    #[arg(long)]
    p384_only: bool,
    /// The generation of codes by which certificate requests are refused. Default: current
    #[arg(long, value_enum, value_name = "GENERATION")]
    issuance_codes: Option<IssuanceCodesName>,
}

/// The generations of codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum IssuanceCodesName {
    /// 400040 for a request that is refused, 409005 at a hub while another one is active
    Current,
    /// Those of early 2026: 400037 and 409004
    Early,
}

impl IssuanceRunArgs {
    /// Sets the options of an emulator that these name.
    pub(super) fn apply(&self, mut options: EmulatorOptions) -> EmulatorOptions {
        if let Some(days) = self.certificate_days {
            options = options.service(|service| service.certificate_days(days));
        }
        if self.p384_only {
            options = options.service(|service| service.p384_only(true));
        }
        match self.issuance_codes {
            Some(IssuanceCodesName::Current) => {
                options.service(|service| service.issuance_codes(IssuanceCodes::Current))
            }
            Some(IssuanceCodesName::Early) => options.service(|service| service.issuance_codes(IssuanceCodes::Early)),
            None => options,
        }
    }
}
