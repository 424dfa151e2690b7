//! Origins of images: which maintainer represents a job, what admins mark as verified, and upgrades.

use std::path::Path;

use secrecy::ExposeSecret as _;
use silo::catalog::{
    CatalogueImage, CatalogueJob, ContentOutcome, DigestContent, JobFilter, JobId, JobSummary, ListPage, NameOrder,
    OriginId, RegistryRecord, VerifiedMarks,
};
use silo::store::{DatabaseAddress, Store};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Executor};

use super::both;
use super::fixture::{at, content, facts, registry, scan, statement};
use crate::support::postgres;

/// An image of a job by a maintainer.
fn by(maintainer: &str, job: &str, job_version: &str) -> DigestContent {
    let mut facts = facts(job, job_version, "1.0.0");
    facts.title = format!("{job} {job_version} of {maintainer}");
    (facts.maintainer, facts.email) = (maintainer.into(), format!("{maintainer}@example.org"));
    content(&format!("{maintainer}-{job}-{job_version}"), ContentOutcome::Seed(Box::new(facts)))
}

async fn summary(store: &Store, name: &str) -> JobSummary {
    let id = job(store, name).await.id;
    store.job_summary_list_by_ids(&[id]).await.unwrap().remove(0)
}

async fn job(store: &Store, name: &str) -> CatalogueJob {
    store.job_list().await.unwrap().into_iter().find(|job| job.name == name).expect("the job is there")
}

/// Registry, namespace and title of each group, starting with the one that represents the job.
fn groups(job: &JobSummary) -> Vec<[&str; 3]> {
    let groups = job.groups.iter().map(|group| &group.leader);
    groups.map(|it| [it.origin.registry.as_str(), &it.origin.namespace, &it.title]).collect()
}

async fn marked(store: &Store, registry: &RegistryRecord, namespaces: &[&str], all: bool) -> VerifiedMarks {
    let old = store.registry_get(registry.id).await.unwrap().expect("the registry is there").verified;
    let namespaces = namespaces.iter().map(|name| (*name).to_owned()).collect();
    let marks = VerifiedMarks { registry: all, namespaces };
    assert!(store.registry_verify(registry.id, &old, &marks, at(5)).await.unwrap());
    marks
}

async fn images(store: &Store) -> Vec<CatalogueImage> {
    store.image_list().await.unwrap()
}

both!(a_higher_version_of_somebody_else_takes_nothing_over, |store| {
    let (hub, lab) = (registry(&store, "hub").await, registry(&store, "lab").await);
    let (ours, rival) = (by("ada", "ndvi", "1.0.0"), by("mal", "ndvi", "9.0.0"));
    scan(&store, hub.id, &[("geo/ndvi-seed", "1", &ours)]).await;
    let before = job(&store, "ndvi").await;
    scan(&store, lab.id, &[("ndvi-seed", "9", &rival)]).await;
    assert_eq!(job(&store, "ndvi").await, before);

    let shown = summary(&store, "ndvi").await;
    assert_eq!(groups(&shown), [["hub", "geo", "ndvi 1.0.0 of ada"], ["lab", "", "ndvi 9.0.0 of mal"]]);
    assert_eq!((shown.group_count, shown.reference.as_str()), (2, "hub.example/geo/ndvi-seed:1"));
    assert_eq!((shown.origin.host.as_str(), shown.origin.represents), ("hub.example", true));
    assert!(!shown.groups[1].leader.origin.represents);
    let versions = store.job_version_summaries(before.id).await.unwrap();
    let versions: Vec<_> = versions.iter().map(|it| (it.version.job_version.as_str(), it.represents)).collect();
    assert_eq!(versions, [("9.0.0", false), ("1.0.0", true)]);
    let filter = |maintainer: &str| JobFilter { maintainer: Some(maintainer.into()), ..JobFilter::default() };
    let page = ListPage { order: NameOrder::Name, is_descending: false, after: None, limit: 9 };
    assert_eq!(store.job_page(&filter("ada"), &page).await.unwrap(), [shown]);
    assert_eq!(store.job_page(&filter("mal"), &page).await.unwrap(), []);
});

both!(images_with_the_same_versions_are_described_by_one_that_represents_the_job, |store| {
    let (hub, lab) = (registry(&store, "hub").await, registry(&store, "lab").await);
    let rival = by("mal", "ndvi", "1.0.0");
    let ours = by("ada", "ndvi", "1.0.0");
    scan(&store, hub.id, &[("geo/ndvi-seed", "1", &ours)]).await;
    scan(&store, lab.id, &[("ndvi-seed", "1", &rival), ("mirror/ndvi-seed", "1", &ours)]).await;
    let id = store.job_id_by_name("ndvi").await.unwrap();
    assert_eq!(id, Some(job(&store, "ndvi").await.id));
    assert_eq!(store.job_id_by_name("NDVI").await.unwrap(), None);

    let versions = store.job_version_summaries(id.unwrap()).await.unwrap();
    let [version] = &versions[..] else { panic!("one version: {versions:?}") };
    let [package] = &version.packages[..] else { panic!("one package: {version:?}") };
    assert_eq!((version.images, package.images, package.reference.as_str()), (3, 3, "hub.example/geo/ndvi-seed:1"));
    let image = store.image_get(package.image_id).await.unwrap().expect("it is there");
    let described = (image.digest, image.platforms, image.size, image.built_at, image.first_seen_at, image.changed_at);
    let package = package.clone();
    let told =
        (package.digest, package.platforms, package.size, package.built_at, package.first_seen_at, package.changed_at);
    assert_eq!(told, described);

    let places = store.image_places(version.version.id, "1.0.0", 9).await.unwrap();
    let references: Vec<&str> = places.iter().map(|place| place.reference.as_str()).collect();
    let expected = ["hub.example/geo/ndvi-seed:1", "lab.example/mirror/ndvi-seed:1", "lab.example/ndvi-seed:1"];
    assert_eq!(references, expected, "those that represent the job first");
    assert_eq!(store.image_places(version.version.id, "1.0.0", 1).await.unwrap(), places[..1]);
    assert_eq!(store.image_places(version.version.id, "2.0.0", 9).await.unwrap(), []);
});

both!(a_mirror_is_no_rival_and_the_first_comes_back_first, |store| {
    let (hub, lab, mirror) =
        (registry(&store, "hub").await, registry(&store, "lab").await, registry(&store, "mirror").await);
    let (old, rival, new) = (by("ada", "ndvi", "1.0.0"), by("mal", "ndvi", "9.0.0"), by("ada", "ndvi", "2.0.0"));
    scan(&store, hub.id, &[("geo/ndvi-seed", "1", &old)]).await;
    scan(&store, lab.id, &[("ndvi-seed", "9", &rival)]).await;
    scan(&store, mirror.id, &[("copy/ndvi-seed", "2", &new)]).await;
    let shown = summary(&store, "ndvi").await;
    assert_eq!(groups(&shown), [["mirror", "copy", "ndvi 2.0.0 of ada"], ["lab", "", "ndvi 9.0.0 of mal"]]);
    assert_eq!(shown.groups[0].origin_count, 2);
    let id = shown.job.id;
    let all = store.job_origin_page(id, None, OriginId(0), 9).await.unwrap();
    let names = |all: &[silo::catalog::JobOrigin]| -> Vec<String> {
        all.iter().map(|it| format!("{}:{}", it.origin.registry, it.job_version)).collect()
    };
    assert_eq!(names(&all), ["hub:1.0.0", "lab:9.0.0", "mirror:2.0.0"], "as they were seen");
    let own = store.job_origin_page(id, Some(all[0].group_id), OriginId(0), 1).await.unwrap();
    assert_eq!(own, all[..1]);
    let rest = store.job_origin_page(id, Some(all[0].group_id), own[0].id, 9).await.unwrap();
    assert_eq!(rest, all[2..]);
    let first = store.job_group_origins(&[all[0].group_id], 9).await.unwrap();
    assert_eq!(names(&first), ["mirror:2.0.0", "hub:1.0.0"], "the one with the latest image first");

    // A new tag in place of the old one: the first maintainer stays first, whatever the images' ids.
    scan(&store, hub.id, &[("geo/ndvi-seed", "3", &by("ada", "ndvi", "3.0.0"))]).await;
    scan(&store, mirror.id, &[]).await;
    assert_eq!(summary(&store, "ndvi").await.job.title, "ndvi 3.0.0 of ada");
    // It is removed, another one represents the job, and it returns: also after its registry was deleted.
    scan(&store, hub.id, &[]).await;
    assert_eq!(summary(&store, "ndvi").await.job.title, "ndvi 9.0.0 of mal");
    scan(&store, hub.id, &[("geo/ndvi-seed", "4", &by("ada", "ndvi", "4.0.0"))]).await;
    assert_eq!(summary(&store, "ndvi").await.job.title, "ndvi 4.0.0 of ada");
    assert!(store.registry_delete(hub.id, at(6)).await.unwrap());
    assert_eq!(summary(&store, "ndvi").await.group_count, 1);
    let hub = registry(&store, "hub").await;
    scan(&store, hub.id, &[("geo/ndvi-seed", "5", &by("ada", "ndvi", "5.0.0"))]).await;
    let shown = summary(&store, "ndvi").await;
    assert_eq!((shown.job.id, shown.job.title.as_str()), (id, "ndvi 5.0.0 of ada"));
    assert_eq!(store.job_origin_page(id, None, OriginId(0), 9).await.unwrap()[0].id, all[0].id);
});

both!(what_is_verified_represents_its_jobs, |store| {
    let (hub, lab) = (registry(&store, "hub").await, registry(&store, "lab").await);
    let (first, second, third) = (by("ada", "ndvi", "3.0.0"), by("eve", "ndvi", "2.0.0"), by("eve", "ndvi", "1.0.0"));
    let other = by("ada", "snow", "1.0.0");
    let at_hub = [("geo/ndvi-seed", "1", &first), ("snow-seed", "1", &other)];
    scan(&store, hub.id, &at_hub).await;
    // For namespaces that do not exist yet.
    marked(&store, &lab, &["maps", "maps/old", ""], false).await;
    assert_eq!(store.catalogue_revision().await.unwrap(), 1, "nothing has changed");
    let at_lab = [("map/ndvi-seed", "2", &second), ("maps/ndvi-seed", "1", &third), ("maps/new/ndvi", "2", &second)];
    scan(&store, lab.id, &at_lab).await;
    let shown = summary(&store, "ndvi").await;
    assert_eq!(shown.job.title, "ndvi 1.0.0 of eve", "of the group what is verified counts alone");
    assert_eq!((shown.groups[0].origin_count, shown.groups[0].leader.origin.is_verified), (3, true));
    assert_eq!(shown.origin.namespace, "maps");
    let verified = |image: &&CatalogueImage| image.is_verified;
    assert_eq!(images(&store).await.iter().filter(verified).count(), 1, "maps is neither map nor maps/new");
    let page = ListPage { order: NameOrder::Name, is_descending: false, after: None, limit: 9 };
    for (is_verified, name) in [(true, "ndvi"), (false, "snow")] {
        let filter = JobFilter { verified: Some(is_verified), ..JobFilter::default() };
        let jobs = store.job_page(&filter, &page).await.unwrap();
        assert_eq!(jobs.iter().map(|job| job.job.name.as_str()).collect::<Vec<_>>(), [name]);
    }

    // The whole registry; only changed documents are indexed again.
    let revision = store.catalogue_revision().await.unwrap();
    let marks = marked(&store, &lab, &["maps"], true).await;
    assert_eq!(store.registry_get(lab.id).await.unwrap().unwrap().verified, marks);
    assert_eq!(summary(&store, "ndvi").await.job.title, "ndvi 2.0.0 of eve");
    let changed = store.image_changes(revision, silo::catalog::ImageId(0), 9).await.unwrap();
    assert_eq!(changed.iter().map(|image| image.org.as_str()).collect::<Vec<_>>(), ["map", "maps/new"]);
    assert!(!store.registry_verify(lab.id, &VerifiedMarks::default(), &marks, at(5)).await.unwrap(), "changed since");
    assert!(!store.registry_verify(silo::catalog::RegistryId(99), &marks, &marks, at(5)).await.unwrap());

    // Of two verified ones, the first; and removed marks have no effect.
    marked(&store, &hub, &["geo"], false).await;
    assert_eq!(summary(&store, "ndvi").await.job.title, "ndvi 3.0.0 of ada");
    marked(&store, &hub, &[], false).await;
    assert_eq!(summary(&store, "ndvi").await.job.title, "ndvi 2.0.0 of eve");
    marked(&store, &lab, &[], false).await;
    assert_eq!(summary(&store, "ndvi").await.job.title, "ndvi 3.0.0 of ada");
    assert_eq!(images(&store).await.iter().filter(verified).count(), 0);

    // The marks are deleted with the registry.
    marked(&store, &lab, &[], true).await;
    assert!(store.registry_delete(lab.id, at(6)).await.unwrap());
    let lab = registry(&store, "lab").await;
    scan(&store, lab.id, &at_lab).await;
    assert_eq!(summary(&store, "ndvi").await.job.title, "ndvi 3.0.0 of ada");
});

both!(an_image_that_moves_to_another_job_or_maintainer_takes_its_place_along, |store| {
    let (hub, lab) = (registry(&store, "hub").await, registry(&store, "lab").await);
    let (ours, rival) = (by("ada", "ndvi", "1.0.0"), by("mal", "ndvi", "9.0.0"));
    scan(&store, hub.id, &[("geo/ndvi-seed", "latest", &ours)]).await;
    scan(&store, lab.id, &[("ndvi-seed", "latest", &rival)]).await;
    // The same versions by another maintainer.
    let mut sold = by("mal", "ndvi", "1.0.0");
    sold.digest += "-sold";
    scan(&store, hub.id, &[("geo/ndvi-seed", "latest", &sold)]).await;
    let shown = summary(&store, "ndvi").await;
    assert_eq!((shown.job.title.as_str(), shown.group_count), ("ndvi 9.0.0 of mal", 1), "one maintainer, no rivals");
    scan(&store, hub.id, &[("geo/ndvi-seed", "latest", &ours)]).await;
    assert_eq!(summary(&store, "ndvi").await.job.title, "ndvi 1.0.0 of ada", "it was the first one");

    scan(&store, hub.id, &[("geo/ndvi-seed", "latest", &by("ada", "snow", "1.0.0"))]).await;
    assert_eq!(summary(&store, "ndvi").await.job.title, "ndvi 9.0.0 of mal");
    assert_eq!(summary(&store, "snow").await.origin.namespace, "geo");
});

both!(very_many_origins_of_one_name, |store| {
    let (hub, lab) = (registry(&store, "hub").await, registry(&store, "lab").await);
    scan(&store, hub.id, &[("ndvi-seed", "1", &by("ada", "ndvi", "1.0.0"))]).await;
    let rivals: Vec<(String, DigestContent)> =
        (0..700).map(|number| (format!("n{number}/ndvi-seed"), by(&format!("mal{number}"), "ndvi", "9.0.0"))).collect();
    let found: Vec<_> = rivals.iter().map(|(repository, content)| (repository.as_str(), "1", content)).collect();
    scan(&store, lab.id, &found).await;
    let shown = summary(&store, "ndvi").await;
    assert_eq!((shown.job.title.as_str(), shown.group_count, shown.groups.len()), ("ndvi 1.0.0 of ada", 701, 5));
    let groups = store.job_group_list(&[shown.job.id, JobId(99)], 50).await.unwrap();
    assert_eq!(groups.len(), 50);
    assert_eq!(store.job_origin_page(shown.job.id, None, OriginId(0), 1000).await.unwrap().len(), 701);
    scan(&store, lab.id, &[]).await;
    assert_eq!(summary(&store, "ndvi").await.group_count, 1);
});

/// Two registries with the same job, as stored before origins existed: the higher version represents the job.
const BEFORE: &str = "
    INSERT INTO registries (id, name, url, host, org, kind, username, include, exclude, schedule, created_at)
    VALUES (1, 'hub', 'https://hub.example', 'hub.example', '', 'distribution', '', '[]', '[]', '', 0),
           (2, 'lab', 'https://lab.example', 'lab.example', '', 'distribution', '', '[]', '[]', '', 0);
    INSERT INTO contents (digest, outcome, platforms, problems, job_name, job_version, package_version, title, description,
        maintainer, email, maint_org, manifest, valid, manifest_problems)
    VALUES ('sha256:a', 'seed', '[]', '[]', 'ndvi', '1.0.0', '1.0.0', 'Ours', '', 'Ada', 'ada@example.org', '', '{}', (1 = 1), '[]'),
           ('sha256:b', 'seed', '[]', '[]', 'ndvi', '9.0.0', '1.0.0', 'Theirs', '', 'Mal', 'mal@example.org', '', '{}', (1 = 1), '[]'),
           ('sha256:c', 'unlabelled', '[]', '[]', '', '', '', '', '', '', '', '', '', (1 = 0), '[]');
    INSERT INTO jobs (id, name, latest_job_version, latest_package_version, title, maintainer, email, maint_org, description)
    VALUES (7, 'ndvi', '9.0.0', '1.0.0', 'Theirs', 'Mal', 'mal@example.org', '', '');
    INSERT INTO job_versions (id, job_id, job_version, latest_package_version)
    VALUES (1, 7, '1.0.0', '1.0.0'), (2, 7, '9.0.0', '1.0.0');
    INSERT INTO images (id, registry_id, repository, tag, digest, job_version_id, package_version, first_seen_at, changed_at,
        revision)
    VALUES (1, 1, 'geo/team/ndvi-seed', '1', 'sha256:a', 1, '1.0.0', 0, 0, 1),
           (2, 2, 'ndvi-seed', '9', 'sha256:b', 2, '1.0.0', 0, 0, 2),
           (3, 2, 'other', '1', 'sha256:c', NULL, '', 0, 0, 2);
    UPDATE catalogue SET revision = 2;";

/// The migrations of a database up to the one before origins.
async fn migrations_before(engine: &str) -> Migrator {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(engine);
    let all = Migrator::new(folder).await.expect("the migrations are read");
    let before = all.iter().filter(|migration| !migration.description.contains("origins")).cloned().collect();
    Migrator::with_migrations(before)
}

async fn database_before(address: &DatabaseAddress) {
    match address {
        DatabaseAddress::Sqlite(path) => {
            let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
            let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
            migrations_before("sqlite").await.run(&mut connection).await.expect("migrated");
            connection.close().await.unwrap();
        }
        DatabaseAddress::Postgres(url) => {
            let mut connection = PgConnection::connect(url.expose_secret()).await.unwrap();
            connection.execute("CREATE SCHEMA silo; SET search_path TO silo").await.unwrap();
            migrations_before("postgres").await.run(&mut connection).await.expect("migrated");
            connection.close().await.unwrap();
        }
    }
    statement(address, BEFORE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalogue_of_before_knows_its_origins_after_an_upgrade() {
    let (folder, database) = (tempfile::tempdir().unwrap(), postgres::database().await);
    for address in
        [DatabaseAddress::Sqlite(folder.path().join("silo.db")), DatabaseAddress::Postgres(database.url().into())]
    {
        database_before(&address).await;
        let store = Store::connect(&address).await.expect("it opens");
        assert_eq!(store.origin_create_missing(at(0)).await.unwrap(), 2);
        assert_eq!(store.origin_create_missing(at(0)).await.unwrap(), 0, "once");
        let shown = summary(&store, "ndvi").await;
        assert_eq!((shown.job.id, shown.image_id), (JobId(7), silo::catalog::ImageId(1)));
        assert_eq!(groups(&shown), [["hub", "geo/team", "Ours"], ["lab", "", "Theirs"]]);
        assert_eq!(images(&store).await.len(), 2);
        assert_eq!(store.catalogue_revision().await.unwrap(), 3, "the index follows");
        let lab = store.registry_by_name("lab").await.unwrap().expect("a registry");
        marked(&store, &lab, &[""], false).await;
        assert_eq!(summary(&store, "ndvi").await.job.title, "Theirs");
        store.close().await;
    }
}
