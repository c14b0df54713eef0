//! Details in Korean. The engine, the import and the store say what is wrong in English, each fault in one form; here
//! each form has its Korean. One that is missing here is shown as it came.

use coupon::calendar::{Zone, parse_instant};
use engine::import::columns::KnownColumn;
use engine::import::states::StateWord;

use crate::text::{Lang, PageTexts, with_particles};

/// An English form, with `{}` for what it names, and its Korean, which names those by number.
type DetailForm = (&'static str, &'static str);

macro_rules! forms {
    ($(#[$doc:meta])* $name:ident: $($form:literal => $korean:literal;)*) => {
        $(#[$doc])*
        const $name: &[DetailForm] = &[$(($form, $korean)),*];
    };
}

forms! {
    /// Of fields that people fill in. The first one that fits counts.
    OF_FIELDS:
    "invalid digit found in string" => "숫자를 입력하세요";
    "is negative, want 0 or more" => "0 이상의 숫자를 입력하세요";
    "number too large to fit in target type" => "숫자가 너무 큽니다";
    "number would be zero for non-zero type" => "1 이상의 숫자를 입력하세요";
    "is missing" => "필수 항목입니다. 입력하거나 선택하세요";
    "is missing: give it, or expires_on" => "필수 항목입니다. 날짜를 선택하세요";
    "is missing: a shared campaign has a word" => "‘모두 같은 코드’ 캠페인에는 공용 코드가 필요합니다";
    "is missing: the amounts of the benefit and the budget are in it" => "혜택과 예산의 금액에 쓸 통화를 입력하세요";
    "is missing: a benefit of kind text says nothing else" => "기타 혜택에는 구매자에게 보이는 문구가 필요합니다";
    "looks like a code of ours: take another" => "couponry가 만드는 코드와 비슷합니다. 다른 단어를 쓰세요";
    "is for campaigns with handout shared" => "‘모두 같은 코드’ 캠페인에서만 쓸 수 있습니다";
    "may be null only with handout bearer" => "‘코드를 가진 사람 누구나’ 캠페인에서만 비울 수 있습니다";
    "has passed" => "이미 지난 날짜입니다";
    "is not before the expiry" => "만료일보다 앞서야 합니다";
    "lies outside {} to {}" => "{0}부터 {1}까지만 쓸 수 있습니다";
    "lies after {}" => "{0} 이전이어야 합니다";
    "is not after issue_from" => "발급 시작보다 늦어야 합니다";
    "is {} at present and can only be raised" => "지금 {0}장이며 늘릴 수만 있습니다";
    "is below what redemptions cost so far, {}" => "지금까지 쓴 할인 비용({0})보다 적습니다";
    "stays as it is, as the currency does, once a coupon was issued" => "쿠폰을 한 장이라도 발급한 뒤에는 통화와 함께 바꿀 수 없습니다";
    "is kept by a store on one machine alone: leave it out, or pause the campaign in time" => "서버 한 대에 저장할 때만 쓸 수 있습니다. 비워 두고, 필요하면 캠페인을 일시 중지하세요";
    "is {}, want 1 to {} characters of A-Z and 0-9" => "영문 대문자와 숫자 1~{1}자로 입력하세요(입력한 값 {0})";
    "is no JSON object" => "{\"이름\": \"값\"} 같은 JSON 객체로 입력하세요";
    "is no percentage of 0.01 to 100 with at most two decimals" => "0.01~100을 소수점 둘째 자리까지 입력하세요";
    "is no currency of ISO 4217, such as KRW or USD: three capital letters" => "KRW, USD 같은 통화 코드를 영문 대문자 세 글자로 입력하세요";
    "is the last admin: make another one first" => "마지막 관리자입니다. 먼저 다른 관리자를 만드세요";
    "there are {} people, which is the most" => "계정은 {0}개까지 만들 수 있습니다";
    "there are {} queries, which is the most" => "쿼리는 {0}개까지 저장할 수 있습니다";
    "is the name of a person who was erased" => "개인정보를 삭제한 고객의 ID입니다";
    "is before from" => "시작일보다 앞섭니다";
    "is more than {} days after from" => "시작일부터 {0}일 안이어야 합니다";
    "is no code of this list" => "이 목록에 없는 코드입니다";
    "has 1 to {} characters" => "1~{0}자로 입력하세요";
    "has 1 to {} bytes" => "1~{0}바이트로 입력하세요";
    "has {} bytes, want {} to {}" => "{1}~{2}바이트로 입력하세요(지금 {0}바이트, 한글 한 글자는 3바이트)";
    "has {} characters, want {} to {}" => "{1}~{2}자로 입력하세요(지금 {0}자)";
    "has {} bytes, want at most {}" => "{1}바이트까지 입력할 수 있습니다(지금 {0}바이트)";
    "has {} bytes, want {}" => "{1}바이트까지 입력할 수 있습니다(지금 {0}바이트)";
    "has {} at {}, want {}" => "쓸 수 없는 문자 {0}⟨이/가⟩ 있습니다. {2}⟨을/를⟩ 쓸 수 있습니다";
    "letters, digits, marks and symbols, without spaces" => "공백 없는 글자, 숫자, 기호";
    "text without control characters and marks of direction" => "제어 문자가 없는 글";
    "A-Z a-z 0-9 - _ . ~ :" => "영문, 숫자, - _ . ~ :";
    "text of a code has {} bytes, want at most {}" => "코드는 {1}바이트까지 입력할 수 있습니다(지금 {0}바이트)";
    "code has {} at {}, want A-Z or 0-9" => "코드에는 영문과 숫자만 쓸 수 있습니다(쓸 수 없는 문자 {0})";
    "code has {} characters, want {} to {}" => "코드는 {1}~{2}자여야 합니다(지금 {0}자)";
    "date has {} bytes, want 2026-12-31 or 20261231" => "날짜를 2026-12-31처럼 입력하세요";
    "date is {}, want 2026-12-31 or 20261231" => "날짜를 2026-12-31처럼 입력하세요";
    "date is {}, want a day that exists" => "달력에 없는 날짜입니다({0})";
    "date is {}, want a year from 1970 to 9999" => "연도는 1970~9999로 입력하세요";
    "time zone has {} bytes, want {}" => "Asia/Seoul 같은 시간대 이름을 입력하세요";
    "time zone is {}, want a name of the IANA database like Asia/Seoul or UTC" => "{0}⟨은/는⟩ 없는 시간대입니다. Asia/Seoul, UTC처럼 입력하세요";
    "is {}, want {} to {}" => "{1}~{2} 사이의 값을 입력하세요(입력한 값 {0})";
    "has {}, want COLUMN:NAME or COLUMN:NUMBER, as in {}" => "‘열:이름’ 또는 ‘열:번호’로 입력하세요(예: {1}). 입력한 값 {0}";
    "names {}, want one of {}" => "{0}⟨은/는⟩ 없는 열입니다. 쓸 수 있는 열: {1}";
    "names {} twice" => "{0}⟨을/를⟩ 두 열에 골랐습니다. 하나만 남기세요";
    "leaves out code: say which column it is" => "어느 열이 코드인지 고르세요";
    "has {}, want VALUE:STATE with {}, as in {}" => "‘값:상태’로 입력하세요. 상태는 available(발급 전), issued(발급), redeemed(사용), void(폐기)입니다(예: {2}). 입력한 값 {0}";
}

forms! {
    /// Of lines and files of an import.
    OF_IMPORTS:
    "line is empty" => "빈 줄입니다";
    "line has more than {} bytes" => "한 줄이 {0}바이트를 넘습니다";
    "line is not UTF-8 at byte {}" => "UTF-8로 읽을 수 없는 글자가 있습니다({0}번째 바이트)";
    "line is not {} throughout" => "{0}⟨으로/로⟩ 읽을 수 없는 글자가 있습니다";
    "a quote is not closed in its line" => "따옴표가 닫히지 않았습니다";
    "a quote is not closed, and the lines up to {} may belong to its cell, so none of them is imported; {}" => "따옴표가 닫히지 않아 {0}번째 줄까지 가져오지 않았습니다. 따옴표를 닫거나 지우세요";
    "line has {} cells, want {} to {}" => "칸이 {0}개입니다(필요한 칸 {1}~{2})";
    "line has {} cells, want {}" => "칸이 {0}개입니다(필요한 칸 {1})";
    "line is a header, want a coupon" => "쿠폰이 아니라 머리글입니다";
    "code is {}: a spreadsheet took it for a number and damaged it; {}" => "스프레드시트가 코드를 숫자로 바꾸어 망가졌습니다({0}). 열을 텍스트 형식으로 바꾸고 코드를 다시 넣어 내보내세요";
    "{} is {}, want a date that exists {}" => "{0} 값 {1}⟨은/는⟩ 날짜가 아닙니다. 2026-12-31처럼 쓰세요";
    "{} is {}, which is one of two days; {}" => "{0} 값 {1}⟨은/는⟩ 두 가지 날짜로 읽힙니다. 가져오기 설정에서 날짜 순서를 고르세요";
    "{} is {}, want a year of four digits" => "{0} 값 {1}의 연도를 네 자리로 쓰세요";
    "{} is {} and {} is {}, want {} before {}" => "{0}({1})⟨은/는⟩ {2}({3})보다 빨라야 합니다";
    "{} is {} and {} is {}, want {} not after {}" => "{0}({1})⟨은/는⟩ {2}({3})보다 늦지 않아야 합니다";
    "the campaign's" => "캠페인 값";
    "state is {}, want available, issued, redeemed or void; {}" => "상태 값 {0}의 뜻을 알 수 없습니다. ‘상태 값’에서 뜻을 고르세요";
    "the coupon can be used {} times, want 1; make a shared code for it instead" => "{0}번 쓸 수 있는 쿠폰입니다. 한 번만 쓰는 쿠폰만 가져올 수 있으니 공용 코드로 만드세요";
    "column {} has no name and is {}, want none; name it in the first line" => "{0}번째 열에 이름이 없고 값 {1}⟨이/가⟩ 있습니다. 첫 줄에 이름을 쓰세요";
    "{} is {}, want none: the coupon is {}" => "{2} 상태의 쿠폰에는 {0} 값이 없어야 합니다(지금 {1})";
    "user_id is empty, want one: {}" => "발급한 쿠폰에는 고객(user_id)이 있어야 합니다";
    "redeemed_at is empty, want one: {}" => "사용한 쿠폰에는 사용 시각(redeemed_at)이 있어야 합니다";
    "user_id {}" => "고객(user_id): {0}";
    "order_ref {}" => "주문(order_ref): {0}";
    "{} is {}, want a whole number of the currency's smallest unit, {}" => "{0} 값 {1}⟨을/를⟩ 통화의 가장 작은 단위인 정수로 쓰세요(₩5,000은 5000, $5.00은 500)";
    "currency is {}, want {}" => "통화 {0}⟨은/는⟩ 쓸 수 없습니다";
    "{}; line {} of this file has the same code" => "{0}. 이 파일 {1}번째 줄에도 같은 코드가 있습니다";
    "the code stands already, with other dates or in another campaign" => "같은 코드가 다른 날짜로, 또는 다른 캠페인에 이미 있습니다";
    "{}: the line contradicts what has happened to the coupon" => "이 쿠폰에 이미 있었던 일과 맞지 않는 줄입니다";
    "line {} has the same code in another spelling: {}" => "{0}번째 줄에 표기만 다른 같은 코드가 있습니다. 대소문자, 하이픈, 공백은 구별하지 않습니다";
    "expires_at lies before the first or after the last day that can be archived" => "보관할 수 있는 기간을 벗어난 만료일입니다";
    "the line says {}, and a {} may not make coupons {}: {}" => "{0} 상태인 줄은 현재 역할로 가져올 수 없습니다. 관리자에게 요청하세요";
    "the person was erased: {}" => "개인정보를 삭제한 고객의 줄입니다. 같은 ID를 쓰는 새 고객이면 ‘새 고객으로 보고 가져오기’를 고르세요";
    "redeemed_at lies in the future" => "사용 시각이 미래입니다";
    "the file is empty" => "파일에 내용이 없습니다";
    "a code of ours opens to the same place; give this coupon another code" => "couponry가 만드는 코드와 겹칩니다. 다른 코드를 쓰세요";
    "this Excel workbook has more than {} MiB, or {} MiB unpacked; {}" => "엑셀 파일이 {0}MiB(압축을 풀면 {1}MiB)를 넘습니다. ‘CSV UTF-8’로 저장해 보내세요";
    "this Excel workbook has a cell beyond column {}; delete that column" => "엑셀 파일에 {0}번째를 넘는 열이 있습니다. 그 열을 지우세요";
    "this Excel workbook has several sheets; {}" => "엑셀 파일에 시트가 여러 개 있습니다. 코드가 있는 시트만 남기세요";
    "this Excel workbook cannot be read ({}); {}" => "엑셀 파일을 읽을 수 없습니다. ‘CSV UTF-8’로 저장해 보내세요";
    "too many Excel workbooks are being read; {}" => "다른 엑셀 파일을 읽고 있습니다. 1분 뒤에 다시 보내세요";
    "this is an Excel workbook; {}" => "엑셀 파일입니다. ‘CSV UTF-8’로 저장해 보내세요";
    "this is an old Excel workbook (xls); {}" => "예전 엑셀 파일(xls)입니다. ‘CSV UTF-8’로 저장해 보내세요";
    "this is a zip archive; {}" => "압축 파일(zip)입니다. 압축을 풀고 그 안의 CSV를 보내세요";
    "this is gzip; {}" => "압축 파일(gzip)입니다. 압축을 풀고 그 안의 CSV를 보내세요";
    "this has zero bytes in it, {}" => "텍스트 파일이 아닙니다. ‘CSV UTF-8’로 저장하거나, UTF-16이면 인코딩을 고르세요";
    "this is a PDF document; {}" => "PDF 문서입니다. 코드를 ‘CSV UTF-8’로 내보내 보내세요";
    "this is a Parquet file; {}" => "Parquet 파일입니다. ‘CSV UTF-8’로 내보내 보내세요";
    "this looks like JSON; {}" => "JSON 파일로 보입니다. code 열이 있는 ‘CSV UTF-8’로 바꾸어 보내세요";
    "this is an HTML or XML page, {}" => "HTML 또는 XML 파일입니다. 오류 화면을 저장한 것일 수 있습니다. CSV를 보내세요";
    "the lines end as on an old Mac (CR alone); {}" => "줄바꿈이 옛 Mac 형식입니다. 줄바꿈을 Windows나 Unix 형식으로 저장하세요";
    "the first line is neither a coupon nor a header: {}; the columns are {}; name them in the first line, or {}" => "첫 줄이 쿠폰도 머리글도 아닙니다({0}). 첫 줄에 열 이름을 쓰거나 열의 뜻을 고르세요. 쓸 수 있는 열: {1}";
    "{}no column code; the columns are {}; {}" => "코드 열이 없습니다. 어느 열이 코드인지 고르거나 첫 줄에 쓰세요. 쓸 수 있는 열: {1}";
    "column {} is {}, want one of {}; {}" => "{0}번째 열 이름 {1}⟨을/를⟩ 알 수 없습니다. 열의 뜻을 고르거나 ‘무시’를 고르세요. 쓸 수 있는 열: {2}";
    "columns {} and {} both mean {}, want each at most once: {}" => "{0}번째와 {1}번째 열이 모두 {2}입니다. 하나만 남기세요";
    "{}, which looks like a state or a use, and used coupons must not come as available; map it, {}" => "상태나 사용 여부로 보이는 열을 건너뛰려 합니다({0}). 사용한 쿠폰이 발급 전으로 들어오지 않도록 열의 뜻을 고르거나 ‘무시’를 고르세요";
    "these are lines that an import rejected, without their header; {}" => "거부된 줄의 파일인데 머리글이 없습니다. 열마다 뜻을 고르세요";
}

forms! {
    /// Of the store, its clock and webhooks.
    OF_MACHINES:
    "the clock has jumped to {} from {}: no partition is sealed or archived before {}; {}" => "시계가 {1}에서 {0}⟨으로/로⟩ 갑자기 바뀌었습니다. {2}까지는 만료일을 마감하거나 보관하지 않습니다. 시계가 틀리면 NTP로 맞추세요. 맞으면 할 일이 없고, 기다리지 않으려면 couponry compact --clock-is-right 명령을 실행하세요";
    "{} is mounted read-only" => "{0} 디스크가 읽기 전용입니다";
    "{} has {} MiB free, couponry writes from {} MiB on" => "{0} 디스크에 {1}MiB만 남았습니다. {2}MiB부터 쓸 수 있습니다";
    "there is no such webhook" => "없는 웹훅입니다";
    "the webhook has no such delivery" => "이 웹훅에 없는 전송입니다";
    "a webhook of this name was made with other values" => "같은 이름의 웹훅이 다른 설정으로 이미 있습니다";
    "there are {} webhooks already: delete one" => "웹훅은 {0}개까지 만들 수 있습니다. 하나를 삭제하세요";
    "too many webhooks are being tested: try again" => "다른 웹훅을 테스트하고 있습니다. 다시 시도하세요";
    "the system has no random numbers" => "시스템에서 난수를 만들 수 없습니다";
    "cannot resolve {}: {}" => "{0} 주소를 찾을 수 없습니다";
    "leads to {}, which is not a public address" => "공개되지 않은 주소({0})입니다";
    "url {}" => "주소: {0}";
    "cannot be parsed ({}), want https://HOST/PATH" => "https://호스트/경로 형식으로 입력하세요";
    "has the scheme {}, want https" => "https:// 주소여야 합니다";
    "has a user or a password in it, want one without" => "주소에 사용자 이름이나 비밀번호를 넣을 수 없습니다";
    "has report.weekly, which is about all campaigns: leave it out, or the campaign" => "주간 보고서는 모든 캠페인을 다룹니다. 주간 보고서를 빼거나 ‘모든 캠페인’을 고르세요";
    "the webhook has {} secrets already: wait until one ends, or end the old ones now" => "비밀 키가 이미 {0}개입니다. 하나가 끝날 때까지 기다리거나 예전 키를 바로 폐기하세요";
    "the store failed" => "저장소에 오류가 있습니다";
}

impl PageTexts {
    /// A detail in the language of the page.
    pub(crate) fn detail(self, detail: &str) -> String {
        match (self.lang(), detail) {
            (Lang::En, "invalid digit found in string") => self.want_number().to_owned(),
            (Lang::En, _) => detail.to_owned(),
            (Lang::Ko, _) => self.in_korean(detail).unwrap_or_else(|| detail.to_owned()),
        }
    }

    /// `None` if no form fits.
    pub(crate) fn in_korean(self, detail: &str) -> Option<String> {
        let mut forms = OF_FIELDS.iter().chain(OF_IMPORTS).chain(OF_MACHINES);
        let (korean, parts) =
            forms.find_map(|(form, korean)| Some((*korean, parts_of(form, detail)?)))?;
        let mut said = korean.to_owned();
        for (nth, part) in parts.iter().enumerate() {
            let part = match parse_instant(part) {
                Ok(at) => self.moment(at, &Zone::utc()),
                Err(_) => self.named(part).map_or_else(|| self.detail(part), str::to_owned),
            };
            said = said.replace(&format!("{{{nth}}}"), &part);
        }
        Some(with_particles(&said))
    }

    /// What a page calls a column or a state of an import.
    fn named(self, word: &str) -> Option<&'static str> {
        let column = KnownColumn::ALL.iter().find(|it| it.as_str() == word);
        let state = || StateWord::ALL.iter().find(|it| it.as_str() == word);
        let column = column.map(|it| self.import_column(it));
        column.or_else(|| state().map(|it| self.state_word(it)))
    }
}

/// What stands in the place of each `{}` of a form; `None` if the text has another form.
fn parts_of<'a>(form: &str, text: &'a str) -> Option<Vec<&'a str>> {
    let mut literals = form.split("{}");
    let mut rest = text.strip_prefix(literals.next()?)?;
    let mut parts = Vec::new();
    let mut literals = literals.peekable();
    while let Some(literal) = literals.next() {
        let is_last = literals.peek().is_none();
        let end = if is_last { rest.strip_suffix(literal)?.len() } else { rest.find(literal)? };
        parts.push(&rest[..end]);
        rest = &rest[end + literal.len()..];
    }
    rest.is_empty().then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_in_korean() {
        let t = PageTexts::new(Lang::Ko);
        let clock = "the clock has jumped to 2027-01-01T00:00:00.000Z from 2026-11-20T12:00:00.000Z: no \
                     partition is sealed or archived before 2027-01-03T00:00:00.000Z; if the clock is wrong, set it";
        let cases = [
            ("a whole form", "has passed", "이미 지난 날짜입니다"),
            ("parts", "is 0, want 1 to 366", "1~366 사이의 값을 입력하세요(입력한 값 0)"),
            ("no number", "invalid digit found in string", "숫자를 입력하세요"),
            (
                "a part with its own form",
                "user_id has 0 bytes, want 1 to 128",
                "고객(user_id): 1~128바이트로 입력하세요(지금 0바이트, 한글 한 글자는 3바이트)",
            ),
            (
                "a particle",
                "time zone is \"Mars\", want a name of the IANA database like Asia/Seoul or UTC",
                "\"Mars\"는 없는 시간대입니다. Asia/Seoul, UTC처럼 입력하세요",
            ),
            (
                "a form within another",
                "code has 'é' at 2, want A-Z or 0-9; line 3 of this file has the same code",
                "코드에는 영문과 숫자만 쓸 수 있습니다(쓸 수 없는 문자 'é'). 이 파일 3번째 줄에도 같은 코드가 있습니다",
            ),
            (
                "instants",
                clock,
                "시계가 2026년 11월 20일 12:00 UTC에서 2027년 1월 1일 00:00 UTC로 갑자기 바뀌었습니다. 2027년 1월 3일 00:00 UTC까지는 만료일을 마감하거나 보관하지 않습니다. 시계가 틀리면 NTP로 맞추세요. 맞으면 할 일이 없고, 기다리지 않으려면 couponry compact --clock-is-right 명령을 실행하세요",
            ),
            ("none", "disk I/O error", "disk I/O error"),
        ];
        for (name, english, korean) in cases {
            assert_eq!(t.detail(english), korean, "{name}");
            let same = if english.starts_with("invalid") { "want a number" } else { english };
            assert_eq!(PageTexts::new(Lang::En).detail(english), same, "{name}");
        }
    }

    /// A part that no form fills would be shown as `{2}`, and a doubled form would never be reached.
    #[test]
    fn each_form_is_reached_and_filled() {
        let forms = || OF_FIELDS.iter().chain(OF_IMPORTS).chain(OF_MACHINES);
        for (nth, (form, korean)) in forms().enumerate() {
            let parts = form.matches("{}").count();
            for at in parts..9 {
                assert!(!korean.contains(&format!("{{{at}}}")), "{form}: {at}");
            }
            let filled = form.replace("{}", "x");
            let first = forms().position(|(form, _)| parts_of(form, &filled).is_some());
            assert_eq!(first, Some(nth), "{form} is taken by another");
        }
    }
}
