//! Errors as pages: what is wrong, the request id, a way on.

use http::Method;

use super::markup::{heading, link, named};
use super::{BROWSER, page};
use crate::support::app::TestApp;

#[tokio::test]
async fn an_unknown_address_offers_a_search() {
    let silo = TestApp::start().await;
    for (path, words) in
        [("/nothing/cloud-mask", "cloud-mask"), ("/%3Cscript%3Ealert(1)%3C%2Fscript%3E", "script alert 1 script")]
    {
        let reply = page(&silo, path).await.expect(404);
        assert_eq!(heading(&reply.text), "Not found");
        assert!(reply.text.contains(reply.header("x-request-id")), "{}", reply.text);
        let instead = named(&reply.text, "input").into_iter().find(|input| input.value("id") == "instead");
        assert_eq!(instead.expect("a field").value("value"), words);
        assert_eq!(link(&reply.text, "All jobs"), "/");
        let program = silo.anonymous().get(path).await.expect(404);
        assert!(program.error().starts_with("There is no resource at this address"), "{}", program.text);
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_understood_says_why() {
    let silo = TestApp::start().await;
    for (path, words) in [
        ("/search?facet.colour=red", "there is no facet `colour`"),
        ("/search?sort=best", "sort is `best`"),
        ("/search?colour=red", "unknown parameter `colour`"),
        ("/search?q=a&cursor=zzz", "cursor"),
        ("/search?q=%3Cimg%20src%3Dx%3E&sort=%3Cimg%20src%3Dx%3E", "&lt;img src=x&gt;"),
    ] {
        let reply = page(&silo, path).await.expect(400);
        assert_eq!(heading(&reply.text), "This address cannot be understood");
        assert!(reply.text.contains(words), "{path}: {}", reply.text);
        assert!(named(&reply.text, "img").is_empty(), "{path}: {}", reply.text);
    }
}

#[tokio::test]
async fn methods_that_pages_do_not_have_are_refused() {
    let silo = TestApp::start().await;
    for path in ["/search", "/help"] {
        let reply = silo.anonymous().send(Method::POST, path, &[("accept", BROWSER)], Vec::new()).await;
        assert_eq!(reply.status, 405, "{path}");
    }
}
