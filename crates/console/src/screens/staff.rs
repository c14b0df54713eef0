//! People who may sign in: invite, change roles, sign out, remove.

use askama::Template;
use axum::extract::Path;
use coupon::ids::UserId;
use coupon::time::Millis;
use engine::{StaffMember, StaffRole};

use crate::desk::{PageContext, to};
use crate::extract::from_path;
use crate::fields::FormFields;
use crate::invitation::{INVITATION_MS, new, signed};
use crate::roles::{ConsoleAction, TABLE};
use crate::trouble::{ConsoleError, ConsoleResult};
use crate::twins::has_twin;

#[derive(Template)]
#[template(path = "staff.html")]
struct StaffPage<'a> {
    d: &'a PageContext,
    people: &'a [StaffMember],
    /// An invitation that was just made; it is shown once.
    invitation: Option<String>,
    table: Vec<(&'static str, Vec<bool>)>,
}

impl StaffPage<'_> {
    fn is_me(&self, person: &StaffMember) -> bool {
        self.d.member.as_ref().is_some_and(|member| member.name.as_str() == person.name)
    }
}

pub(crate) async fn page(desk: PageContext) -> ConsoleResult {
    show(&desk, None).await
}

async fn show(desk: &PageContext, invitation: Option<String>) -> ConsoleResult {
    let list = desk.engine().staff().await?;
    let row = |(action, ..): (ConsoleAction, _, _)| {
        (desk.t.action(&action), StaffRole::ALL.map(|role| action.is_for(role)).to_vec())
    };
    let page = StaffPage {
        d: desk,
        people: list.people(),
        invitation,
        table: TABLE.into_iter().map(row).collect(),
    };
    desk.page(&page)
}

/// `POST /console/staff/invite`: makes a link and shows it.
pub(crate) async fn invite(desk: PageContext, fields: FormFields) -> ConsoleResult {
    let role: StaffRole = fields.must("role")?;
    let name: Option<UserId> = fields.may("name")?;
    let list = desk.engine().staff().await?;
    if name.as_ref().is_some_and(|name| has_twin(&list, name)) {
        return Err(ConsoleError::field("name", desk.t.name_has_twin()));
    }
    let name = name.map(|name| name.to_string());
    let member = desk.member.as_ref().ok_or(ConsoleError::Forbidden)?;
    let by = Some((member.name.to_string(), member.session.generation));
    let link = new(role, name, by, desk.now.plus_ms(INVITATION_MS));
    let caller = desk.caller(ConsoleAction::ManageStaff)?;
    desk.engine().staff_invited(&caller, &link.id, link.name.as_deref(), role).await?;
    let path = signed(&desk.console.signer, &link, desk.now);
    show(&desk, Some(format!("{}{path}", desk.host))).await
}

pub(crate) async fn change_role(
    desk: PageContext,
    Path(name): Path<String>,
    fields: FormFields,
) -> ConsoleResult {
    let role: StaffRole = fields.must("role")?;
    let caller = desk.caller(ConsoleAction::ManageStaff)?;
    desk.engine().change_staff_role(&caller, &from_path(&name)?, role).await?;
    Ok(to("/console/staff?done=changed"))
}

pub(crate) async fn sign_out(desk: PageContext, Path(name): Path<String>) -> ConsoleResult {
    let caller = desk.caller(ConsoleAction::ManageStaff)?;
    desk.engine().sign_staff_out(&caller, &from_path(&name)?).await?;
    Ok(to("/console/staff?done=signed-out"))
}

pub(crate) async fn remove(desk: PageContext, Path(name): Path<String>) -> ConsoleResult {
    let caller = desk.caller(ConsoleAction::ManageStaff)?;
    desk.engine().remove_staff(&caller, &from_path(&name)?).await?;
    Ok(to("/console/staff?done=removed"))
}
