//! The pages of admins: registries, their scans, and users. Each begins with `templates/admin_tabs.html`.

mod kinds;
mod registries;
mod registry;
mod registry_add;
mod registry_edit;
mod registry_fields;
mod registry_hook;
mod registry_removal;
mod scan_history;
mod scan_problems;
mod users;

use crate::http::routes::{RouteAccess, RouteTable};

pub(super) fn add(routes: RouteTable) -> RouteTable {
    use RouteAccess::Admin;
    routes
        .add_page("/admin/registries", Admin, registries::show)
        .add_page("/admin/registries/new", Admin, registry_add::show)
        .add_form("/admin/registries/new", Admin, registry_add::send)
        .add_page("/admin/registries/{id}", Admin, registry::show)
        .add_form("/admin/registries/{id}/scan", Admin, registry::scan)
        .add_form("/admin/registries/{id}/cancel", Admin, registry::cancel)
        .add_page("/admin/registries/{id}/problems", Admin, scan_problems::show)
        .add_page("/admin/registries/{id}/repositories", Admin, registries::repositories)
        .add_page("/admin/registries/{id}/edit", Admin, registry_edit::show)
        .add_form("/admin/registries/{id}/edit", Admin, registry_edit::send)
        .add_page("/admin/registries/{id}/hook", Admin, registry_hook::show)
        .add_form("/admin/registries/{id}/hook", Admin, registry_hook::make)
        .add_form("/admin/registries/{id}/hook/remove", Admin, registry_hook::remove)
        .add_page("/admin/registries/{id}/held", Admin, registry_removal::show_held)
        .add_form("/admin/registries/{id}/held", Admin, registry_removal::confirm)
        .add_page("/admin/registries/{id}/delete", Admin, registry_removal::show_delete)
        .add_form("/admin/registries/{id}/delete", Admin, registry_removal::delete)
        .add_page("/admin/users", Admin, users::show)
        .add_form("/admin/users", Admin, users::add)
        .add_page("/admin/users/{id}", Admin, users::show_one)
        .add_form("/admin/users/{id}/role", Admin, users::change_role)
        .add_form("/admin/users/{id}/password", Admin, users::reset_password)
        .add_form("/admin/users/{id}/delete", Admin, users::delete)
}
