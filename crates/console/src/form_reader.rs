//! Reads a form to its end: whoever filled it in sees all that is wrong at once, each fault at its field.

use std::str::FromStr;

use askama::Template;
use axum::http::StatusCode;
use coupon::money::Currency;
use engine::{Failure, FieldFault};
use webhooks::WebhookError;

use crate::fields::FormFields;
use crate::text::PageTexts;
use crate::trouble::{ConsoleError, ConsoleResult};
use crate::trouble_page::faults_said;

pub(crate) struct FormReader<'a> {
    pub(crate) fields: &'a FormFields,
    faults: Vec<FieldFault>,
}

impl<'a> FormReader<'a> {
    pub(crate) fn of(fields: &'a FormFields) -> FormReader<'a> {
        FormReader { fields, faults: Vec::new() }
    }

    pub(crate) fn may<T: FromStr<Err: ToString>>(&mut self, name: &str) -> Option<T> {
        self.read(self.fields.may(name)).flatten()
    }

    pub(crate) fn must<T: FromStr<Err: ToString>>(&mut self, name: &str) -> Option<T> {
        self.read(self.fields.must(name))
    }

    /// An amount as on a price tag. Of a currency that is wrong, that alone is said.
    pub(crate) fn amount(
        &mut self,
        t: PageTexts,
        name: &str,
        currency: Option<Currency>,
    ) -> Option<u64> {
        let text = self.fields.get(name)?;
        let wrong = |want: &str| Err(ConsoleError::field(name, want));
        let amount = match currency {
            Some(currency) => currency.amount_of(text).map_or_else(|| wrong(t.want_amount()), Ok),
            None if self.fields.get("currency").is_some() => return None,
            None => wrong(t.want_currency()),
        };
        self.read(amount)
    }

    fn read<T>(&mut self, read: ConsoleResult<T>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(ConsoleError::Fields(faults)) => {
                self.faults.extend(faults);
                None
            }
            Err(_) => None,
        }
    }

    pub(crate) fn is_good(&self) -> bool {
        self.faults.is_empty()
    }

    pub(crate) fn done<T>(self, value: T) -> ConsoleResult<T> {
        if self.is_good() { Ok(value) } else { Err(self.wrong()) }
    }

    /// All faults in the order of the form; first what was not chosen, which a browser does not send.
    fn wrong(mut self) -> ConsoleError {
        let inputs = &self.fields.0;
        self.faults
            .sort_by_key(|it| inputs.iter().position(|(name, _)| name == input_of(&it.field)));
        ConsoleError::Fields(self.faults)
    }

    /// The same, with what the rules say of the fields that could be read.
    pub(crate) fn refused(mut self, error: ConsoleError) -> ConsoleError {
        match error {
            ConsoleError::Fields(faults) => {
                for fault in faults {
                    if self.faults.iter().all(|it| input_of(&it.field) != input_of(&fault.field)) {
                        self.faults.push(fault);
                    }
                }
                self.wrong()
            }
            other if self.is_good() => other,
            _ => self.wrong(),
        }
    }
}

/// The input of a field that the rules have another name for.
fn input_of(field: &str) -> &str {
    match field {
        "expires_at" => "expires_on",
        "benefit" => "benefit.kind",
        "benefit.title" | "benefit.title.en" => "title_en",
        "benefit.title.ko" => "title_ko",
        other => other,
    }
}

/// What is wrong with a form, for its page.
pub(crate) struct FormFaults {
    t: PageTexts,
    faults: Vec<FieldFault>,
    /// What is above the form.
    pub(crate) said: Option<String>,
}

#[derive(Template)]
#[template(ext = "html", source = "<strong class=\"fault\">{{ why }}</strong>")]
struct FaultMark {
    why: String,
}

impl FormFaults {
    pub(crate) fn none(t: PageTexts) -> FormFaults {
        FormFaults { t, faults: Vec::new(), said: None }
    }

    pub(crate) fn saying(t: PageTexts, said: &str) -> FormFaults {
        FormFaults { said: Some(said.to_owned()), ..FormFaults::none(t) }
    }

    /// Those that the page of a form shows; any other error has a page of its own.
    pub(crate) fn of(t: PageTexts, error: ConsoleError) -> ConsoleResult<FormFaults> {
        let faults = match error {
            ConsoleError::Fields(faults) => faults,
            ConsoleError::Webhook(WebhookError::Invalid { field, why }) => {
                vec![FieldFault::new(field, why)]
            }
            ConsoleError::Failure(Failure::Refused { refusal, .. }) => {
                return Ok(FormFaults::saying(t, t.refusal(refusal)));
            }
            other => return Err(other),
        };
        Ok(FormFaults { said: Some(faults_said(t, &faults)), t, faults })
    }

    pub(crate) fn status(&self) -> StatusCode {
        if self.said.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }
    }

    fn find(&self, input: &str) -> Option<&FieldFault> {
        self.faults.iter().find(|it| input_of(&it.field) == input)
    }

    /// The attribute of an input that says so.
    pub(crate) fn mark(&self, input: &str) -> &'static str {
        self.find(input).map_or("", |_| " aria-invalid=\"true\"")
    }

    /// What is wrong with an input, as a part of its label: whoever hears the page hears it with the name.
    pub(crate) fn at(&self, input: &str) -> String {
        let mark = |it: &FieldFault| FaultMark { why: self.t.detail(&it.detail) }.to_string();
        self.find(input).map(mark).unwrap_or_default()
    }
}
