//! The user name of CONNECT: `{idScope}/registrations/{registrationId}/api-version={version}[&ClientVersion=…]`.

/// What a user name says, nothing decoded: clients encode neither scope nor id. The api-version is unchecked, and empty
/// where it is missing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UserName<'a> {
    pub(super) id_scope: &'a str,
    pub(super) registration_id: &'a str,
    pub(super) api_version: &'a str,
}

/// The id ends at the last `/api-version=`, for it may hold anything that an id may.
pub(super) fn parse(text: &str) -> Option<UserName<'_>> {
    let (id_scope, rest) = text.split_once('/')?;
    let rest = rest.strip_prefix("registrations/")?;
    let (registration_id, parameters) = rest.rsplit_once("/api-version=").unwrap_or((rest, ""));
    let api_version = parameters.split('&').next()?;
    let whole = !id_scope.is_empty() && !registration_id.is_empty();
    whole.then_some(UserName { id_scope, registration_id, api_version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names_of_every_client_are_read() {
        let plain = UserName { id_scope: "0ne1", registration_id: "dev-01", api_version: "2019-03-31" };
        assert_eq!(parse("0ne1/registrations/dev-01/api-version=2019-03-31"), Some(plain));
        let named = parse("0ne1/registrations/a:b_c.d/api-version=2021-06-01&ClientVersion=c%2F1.2.3").unwrap();
        assert_eq!((named.registration_id, named.api_version), ("a:b_c.d", "2021-06-01"));
        for missing in ["0ne1/registrations/dev-01", "0ne1/registrations/dev-01/api-version="] {
            let read = parse(missing).unwrap();
            assert_eq!((read.registration_id, read.api_version), ("dev-01", ""), "{missing}");
        }
        for wrong in [
            "",
            "0ne1",
            "0ne1/dev-01/api-version=2019-03-31",
            "/registrations/dev-01/api-version=2019-03-31",
            "0ne1/registrations//api-version=2019-03-31",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
