//! The fields of a registry in the forms that add and change one.

use secrecy::SecretString;

use super::kinds::{kind_advice, kind_title};
use crate::app::{RegistryFieldProblem, RegistryForm, RegistryStatus};
use crate::catalog::{RegistryKind, RegistryMembers, RegistryVisibility, VerifiedMarks};
use crate::http::pages::form::PageForm;

/// What the fields contain; one name or pattern a line in lists. Never secrets.
#[derive(Clone, Debug, Default)]
pub(super) struct RegistryFields {
    pub name: String,
    pub url: String,
    pub org: String,
    pub username: String,
    pub repositories: String,
    pub include: String,
    pub exclude: String,
    pub schedule: String,
    pub is_verified: bool,
    pub verified_namespaces: String,
    pub visibility: RegistryVisibility,
    pub members: String,
    pub member_groups: String,
    pub maintainers: String,
    pub ca: String,
    pub client_certificate: String,
}

/// A field as it is shown.
pub(super) struct FormField {
    pub name: &'static str,
    pub label: &'static str,
    pub hint: &'static str,
    pub value: String,
    pub problem: Option<String>,
    /// Lines of text; 0 for one that cannot be more.
    pub rows: u32,
    pub is_required: bool,
}

/// A kind, or a visibility, to choose.
pub(super) struct KindChoice {
    pub word: &'static str,
    pub title: &'static str,
    pub is_chosen: bool,
}

/// The fields as they are shown: `registry_fields.html`.
pub(super) struct RegistryFieldsView {
    pub fields: Vec<FormField>,
    /// Those that most registries do not need.
    pub more: Vec<FormField>,
    pub is_more_open: bool,
    pub is_verified: bool,
    pub visibilities: Vec<KindChoice>,
    /// What people call the kind.
    pub kind: &'static str,
    /// Empty if the kind is given.
    pub kinds: Vec<KindChoice>,
    /// Which account to give; empty if none is needed.
    pub login: &'static str,
    pub password_problem: Option<String>,
}

impl RegistryFields {
    /// What a form contains.
    pub(super) fn read(form: &PageForm) -> Self {
        // Browsers send line breaks as CR LF.
        let text = |name| form.text(name).trim().replace("\r\n", "\n");
        Self {
            name: text("name"),
            url: text("url"),
            org: text("org"),
            username: text("username"),
            repositories: text("repositories"),
            include: text("include"),
            exclude: text("exclude"),
            schedule: text("schedule"),
            is_verified: !form.text("verified").is_empty(),
            verified_namespaces: text("verified_namespaces"),
            visibility: RegistryVisibility::parse(form.text("visibility")).unwrap_or_default(),
            members: text("members"),
            member_groups: text("member_groups"),
            maintainers: text("maintainers"),
            ca: text("ca"),
            client_certificate: text("client_certificate"),
        }
    }

    /// What is stored.
    pub(super) fn of(RegistryStatus { registry, members, .. }: &RegistryStatus) -> Self {
        // A namespace of repositories without a slash is empty, and would be no line.
        let namespace = |name: &String| if name.is_empty() { "/".to_owned() } else { name.clone() };
        let namespaces: Vec<String> = registry.verified.namespaces.iter().map(namespace).collect();
        Self {
            name: registry.name.clone(),
            url: registry.url.clone(),
            org: registry.org.clone(),
            username: registry.username.clone(),
            repositories: registry.repositories.join("\n"),
            include: registry.include.join("\n"),
            exclude: registry.exclude.join("\n"),
            schedule: registry.schedule.clone(),
            is_verified: registry.verified.registry,
            verified_namespaces: namespaces.join("\n"),
            visibility: registry.visibility,
            members: members.users.join("\n"),
            member_groups: members.groups.join("\n"),
            maintainers: members.maintainers.join("\n"),
            ca: registry.ca.trim().to_owned(),
            client_certificate: registry.client_certificate.trim().to_owned(),
        }
    }

    /// The form for `app`.
    pub(super) fn form(&self, kind: RegistryKind, password: &str, client_key: &str) -> RegistryForm {
        RegistryForm {
            name: self.name.clone(),
            url: self.url.clone(),
            kind: Some(kind),
            org: self.org.clone(),
            username: self.username.clone(),
            password: SecretString::from(password),
            ca: self.ca.clone(),
            client_certificate: self.client_certificate.clone(),
            client_key: SecretString::from(client_key),
            include: lines(&self.include),
            exclude: lines(&self.exclude),
            repositories: lines(&self.repositories),
            schedule: self.schedule.clone(),
            verified: VerifiedMarks { registry: self.is_verified, namespaces: lines(&self.verified_namespaces) },
            visibility: self.visibility,
            members: RegistryMembers {
                users: lines(&self.members),
                groups: lines(&self.member_groups),
                maintainers: lines(&self.maintainers),
            },
        }
    }

    /// The fields as they are shown, each with its problem. A registry that exists keeps its name and kind.
    pub(super) fn view(
        &self,
        kind: RegistryKind,
        problems: &[RegistryFieldProblem],
        is_new: bool,
    ) -> RegistryFieldsView {
        let advice = kind_advice(kind);
        let is_on_disk = advice.login.is_empty();
        let problem = |name: &str| problems.iter().find(|one| one.field == name).map(|one| one.text.clone());
        let field = |name, label, hint, value: &str, rows, is_required| FormField {
            name,
            label,
            hint,
            value: value.to_owned(),
            problem: problem(name),
            rows,
            is_required,
        };
        let org_label = if advice.is_org_needed { "Org" } else { "Org (optional)" };
        let fields = [
            is_new.then(|| field("name", "Name", "What SILO and its commands call the registry.", &self.name, 0, true)),
            Some(field("url", "Address", "", &self.url, 0, true)),
            (!is_on_disk).then(|| field("org", org_label, advice.org, &self.org, 0, advice.is_org_needed)),
            (!is_on_disk).then(|| field("username", "User name (optional)", advice.login, &self.username, 0, false)),
        ];
        let more = [
            Some(field("repositories", "Only these repositories", REPOSITORIES, &self.repositories, 4, false)),
            Some(field("include", "Patterns to include", INCLUDE, &self.include, 3, false)),
            Some(field("exclude", "Patterns to leave out", "One a line.", &self.exclude, 3, false)),
            Some(field("schedule", "Schedule", SCHEDULE, &self.schedule, 0, false)),
            Some(field("members", "Members", MEMBERS, &self.members, 3, false)),
            Some(field("member_groups", "Groups of members", GROUPS, &self.member_groups, 2, false)),
            Some(field("maintainers", "Maintainers", MAINTAINERS, &self.maintainers, 2, false)),
            Some(field("verified_namespaces", "Verified namespaces", NAMESPACES, &self.verified_namespaces, 3, false)),
            (!is_on_disk).then(|| field("ca", "Certificates of its authority (PEM)", CA, &self.ca, 4, false)),
            (!is_on_disk).then(|| {
                field("client_certificate", "Client certificate (PEM)", CERTIFICATE, &self.client_certificate, 4, false)
            }),
        ];
        let more: Vec<FormField> = more.into_iter().flatten().collect();
        let choice =
            |one: &RegistryKind| KindChoice { word: one.as_str(), title: kind_title(*one), is_chosen: *one == kind };
        RegistryFieldsView {
            is_more_open: self.is_verified || more.iter().any(|one| !one.value.is_empty() || one.problem.is_some()),
            fields: fields.into_iter().flatten().collect(),
            more,
            is_verified: self.is_verified,
            visibilities: RegistryVisibility::ALL.map(|one| visibility_choice(one, self.visibility)).into(),
            kind: kind_title(kind),
            kinds: if is_new { RegistryKind::ALL.iter().map(choice).collect() } else { Vec::new() },
            login: advice.login,
            password_problem: problem("password"),
        }
    }
}

const REPOSITORIES: &str = "One a line. For registries that do not list their repositories; else empty.";
const INCLUDE: &str =
    "One a line, such as *-seed; a star stands for any characters, slashes too. Empty: those of the configuration.";
const SCHEDULE: &str = "Five cron fields in UTC, such as 0 */6 * * *, or off. Empty: that of the configuration.";
const MEMBERS: &str = "Names of the users that see the registry if it is private, one a line.";
const GROUPS: &str = "Names of the groups whose users see it, one a line. Groups are made with silo group.";
const MAINTAINERS: &str = "Names of the users who may scan and change it, one a line. They see it too.";
const NAMESPACES: &str =
    "One a line, / for repositories without a slash. Their images rank first and represent their jobs.";
const CA: &str = "If it is a private one, which this machine does not trust.";
const CERTIFICATE: &str = "With its intermediate certificates, if the registry asks for one.";

fn visibility_choice(one: RegistryVisibility, chosen: RegistryVisibility) -> KindChoice {
    let title = match one {
        RegistryVisibility::Public => "everybody",
        RegistryVisibility::Internal => "users who are logged in",
        RegistryVisibility::Private => "its members",
    };
    KindChoice { word: one.as_str(), title, is_chosen: one == chosen }
}

/// The lines of a text, without empty ones.
fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_one_name_a_line() {
        assert_eq!(lines(" a/b \n\n\tc-*\n"), ["a/b", "c-*"]);
        assert_eq!(lines("  "), Vec::<String>::new());
    }

    #[test]
    fn every_kind_can_be_chosen_and_the_given_one_is() {
        for kind in RegistryKind::ALL {
            let view = RegistryFields::default().view(*kind, &[], true);
            assert_eq!(view.kinds.len(), RegistryKind::ALL.len());
            let chosen: Vec<&str> = view.kinds.iter().filter(|one| one.is_chosen).map(|one| one.word).collect();
            assert_eq!(chosen, [kind.as_str()]);
            assert!(!view.is_more_open);
        }
    }

    #[test]
    fn a_problem_is_beside_its_field() {
        let problem = |field| RegistryFieldProblem { field, text: format!("about {field}") };
        let view = RegistryFields::default().view(
            RegistryKind::Harbor,
            &[problem("url"), problem("exclude"), problem("password")],
            true,
        );
        let with: Vec<&str> =
            view.fields.iter().chain(&view.more).filter(|one| one.problem.is_some()).map(|one| one.name).collect();
        assert_eq!(with, ["url", "exclude"]);
        assert!(view.is_more_open && view.password_problem.is_some());
    }
}
