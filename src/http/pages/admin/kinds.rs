//! What an admin needs to know to add a registry of each kind. The same as `docs/registries.md`, in short.

use crate::catalog::RegistryKind;

/// What the form of a registry says for its kind.
pub(super) struct KindAdvice {
    /// What to give as org; empty if there is none.
    pub org: &'static str,
    pub is_org_needed: bool,
    /// Which account to give; empty for images on disk, which need none.
    pub login: &'static str,
}

/// What people call a kind.
pub(super) fn kind_title(kind: RegistryKind) -> &'static str {
    match kind {
        RegistryKind::Distribution => "Any registry (distribution)",
        RegistryKind::DockerHub => "Docker Hub",
        RegistryKind::Ghcr => "GitHub (ghcr.io)",
        RegistryKind::GitLab => "GitLab",
        RegistryKind::Harbor => "Harbor",
        RegistryKind::Quay => "Quay",
        RegistryKind::Zot => "zot",
        RegistryKind::ArtifactRegistry => "Google Artifact Registry",
        RegistryKind::Acr => "Azure Container Registry",
        RegistryKind::Ecr => "Amazon ECR",
        RegistryKind::Artifactory => "JFrog Artifactory",
        RegistryKind::Nexus => "Sonatype Nexus",
        RegistryKind::ContainerYard => "Container yard",
        RegistryKind::Layout => "Image layout on disk",
        RegistryKind::Archive => "Archive of docker save",
    }
}

/// The advice for a kind.
pub(super) fn kind_advice(kind: RegistryKind) -> KindAdvice {
    /// Of kinds that list all repositories.
    const ANY_ORG: &str = "The first part of the path of the repositories to scan; empty for all.";
    let advice = |org, is_org_needed, login| KindAdvice { org, is_org_needed, login };
    match kind {
        RegistryKind::Distribution => advice(
            ANY_ORG,
            false,
            "An account that may list repositories (registry:catalog:*) and pull; none if the registry is open.",
        ),
        RegistryKind::DockerHub => advice(
            "The namespace: a user or an organization.",
            true,
            "Public repositories need no account; with one, Docker Hub allows more pulls. The password may be a personal \
             access token with read permission.",
        ),
        RegistryKind::Ghcr => advice(
            "The organization or user.",
            true,
            "A user name, and as password a classic personal access token with read:packages. GitHub lists packages only \
             with such a token, public ones too.",
        ),
        RegistryKind::GitLab => advice(
            "The full path of a group or a project. Without it, only an administrator of GitLab can list.",
            false,
            "A user name, and as password an access token with read_api and read_registry; deploy tokens cannot list.",
        ),
        RegistryKind::Harbor => advice(
            "The project; empty for all projects that the account can see.",
            false,
            "A robot account that may list repositories and artifacts, read artifacts and pull repositories.",
        ),
        RegistryKind::Quay => advice(
            "The namespace.",
            true,
            "The user $oauthtoken with an OAuth access token (View all visible repositories), or a robot account. Public \
             repositories need no account.",
        ),
        RegistryKind::Zot => {
            advice(ANY_ORG, false, "Any account with read permission; the password may be an API key (zak_…).")
        }
        RegistryKind::ArtifactRegistry => advice(
            "The project, or project/repository; empty for all that the account can see.",
            false,
            "The user _json_key with the key file of a service account (in one line) that is an Artifact Registry Reader.",
        ),
        RegistryKind::Acr => advice(
            ANY_ORG,
            false,
            "A token of the registry with a scope map (content/read, metadata/read), or a service principal with AcrPull.",
        ),
        RegistryKind::Ecr => advice(
            ANY_ORG,
            false,
            "The id of an access key, and its secret as password (SECRET:SESSION-TOKEN for temporary keys), with the policy \
             AmazonEC2ContainerRegistryReadOnly.",
        ),
        RegistryKind::Artifactory => advice(
            "The repository key; empty for all Docker repositories that the account may see.",
            false,
            "An account with read permission; the password may be an API key or an access token.",
        ),
        RegistryKind::Nexus => {
            advice(ANY_ORG, false, "An account with the rights browse and read (nx-repository-view-docker-…).")
        }
        RegistryKind::ContainerYard => advice(ANY_ORG, false, "An account that may read, if it needs one."),
        RegistryKind::Layout | RegistryKind::Archive => advice("", false, ""),
    }
}
