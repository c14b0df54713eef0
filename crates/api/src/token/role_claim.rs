//! In which claim an identity provider says what a caller may do.
//!
//! Keycloak has a list in `realm_access.roles`, Entra ID one in `roles`. Such a list is for all services of a company,
//! so a role of couponry has a prefix there: an admin of something else is none here.

use engine::Role;
use serde_json::{Map, Value};

use super::claims::BadToken;
use super::text::echo;

/// What stands before the name of a role at the provider.
pub const ROLE_PREFIX: &str = "couponry-";

/// The roles of the API, the strongest first.
const ROLES: [Role; 4] = [Role::Admin, Role::Operator, Role::Shop, Role::User];

/// The name of a claim, or the path to a claim within others, with dots: `role`, `realm_access.roles`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleClaim(String);

impl Default for RoleClaim {
    /// `role`, which our own tokens have.
    fn default() -> RoleClaim {
        RoleClaim::new("role")
    }
}

impl RoleClaim {
    pub fn new(name: &str) -> RoleClaim {
        RoleClaim(name.to_owned())
    }

    /// One text, or a list of texts; everything else is nothing. A name that is a claim itself means
    /// that claim, since some providers name claims by addresses, with dots.
    pub fn values<'a>(&self, claims: &'a Map<String, Value>) -> Vec<&'a str> {
        match self.find(claims) {
            Some(Value::String(one)) => vec![one.as_str()],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        if let Some(found) = claims.get(&self.0) {
            return Some(found);
        }
        let (first, rest) = self.0.split_once('.')?;
        let mut found = claims.get(first)?;
        for name in rest.split('.') {
            found = found.get(name)?;
        }
        Some(found)
    }

    /// A text is the name of a role; of a list, the strongest with [`ROLE_PREFIX`] counts.
    pub(super) fn role(&self, claims: &Map<String, Value>) -> Result<Role, BadToken> {
        if let Some(Value::String(text)) = self.find(claims) {
            let bare = text.strip_prefix(ROLE_PREFIX).unwrap_or(text);
            return bare.parse().map_err(|_| BadToken::Role { found: echo(text) });
        }
        let values = self.values(claims);
        let has = |role: &Role| {
            values.iter().any(|it| it.strip_prefix(ROLE_PREFIX) == Some(role.as_str()))
        };
        let found = ROLES.into_iter().find(has);
        found.ok_or_else(|| BadToken::NoRole { claim: self.0.clone() })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn roles() {
        let none = |claim: &str| Err(BadToken::NoRole { claim: claim.to_owned() });
        let keycloak = json!({"realm_access": {"roles": ["offline_access", "couponry-shop"]}});
        let address = "https://shop.example/role";
        let cases = [
            ("ours", "role", json!({"role": "shop"}), Ok(Role::Shop)),
            ("one with a prefix", "role", json!({"role": "couponry-shop"}), Ok(Role::Shop)),
            (
                "another one",
                "role",
                json!({"role": "boss"}),
                Err(BadToken::Role { found: "boss".into() }),
            ),
            ("Keycloak", "realm_access.roles", keycloak.clone(), Ok(Role::Shop)),
            ("Entra ID", "roles", json!({"roles": ["couponry-admin"]}), Ok(Role::Admin)),
            (
                "the strongest",
                "roles",
                json!({"roles": ["couponry-user", "couponry-operator", "x"]}),
                Ok(Role::Operator),
            ),
            ("an admin of something else", "roles", json!({"roles": ["admin"]}), none("roles")),
            ("an address", address, json!({address: "user"}), Ok(Role::User)),
            ("elsewhere", "role", keycloak.clone(), none("role")),
            ("a path too far", "realm_access.roles.x", keycloak, none("realm_access.roles.x")),
            ("a number", "role", json!({"role": 1}), none("role")),
        ];
        for (name, claim, claims, want) in cases {
            let found = RoleClaim::new(claim).role(claims.as_object().unwrap());
            assert_eq!(found, want, "{name}");
        }
    }
}
