//! Accounts of users who sign in here.

use hot::Account;

use super::kit::{Kit, NOW};

pub(crate) async fn created_once(kit: &Kit) {
    let [login_id, user_id, other] = kit.users();
    let account = Account {
        login_id: login_id.clone(),
        user_id: user_id.clone(),
        password_hash: "$argon2id$v=19$x".into(),
    };
    assert!(kit.hot.create_account(account.clone(), NOW).await.unwrap());
    let second = Account { user_id: other.clone(), ..account.clone() };
    assert!(!kit.hot.create_account(second, NOW).await.unwrap(), "the login is taken");
    assert_eq!(kit.hot.account_of_login(&login_id).await.unwrap(), Some(account.clone()));
    assert_eq!(kit.hot.account_of_login(&user_id).await.unwrap(), None, "a login, not a user");
    assert!(kit.hot.has_account(&user_id).await.unwrap());
    assert!(!kit.hot.has_account(&other).await.unwrap());
    assert!(kit.hot.remove_account(&user_id).await.unwrap());
    assert!(!kit.hot.remove_account(&user_id).await.unwrap(), "once");
    assert!(!kit.hot.has_account(&user_id).await.unwrap());
    assert_eq!(kit.hot.account_of_login(&login_id).await.unwrap(), None);
    assert!(kit.hot.create_account(account, NOW).await.unwrap(), "the login is free again");
}
