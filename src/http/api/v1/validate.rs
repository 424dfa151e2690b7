//! `/api/v1/validate`: a manifest in the body or in a form, or the manifest of an image that the body names.

use axum::Json;
use axum::body::Bytes;
use axum::extract::multipart::MultipartRejection;
use axum::extract::{FromRequest, Multipart, Request};
use http::{HeaderMap, header};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::app::{Error, ManifestSource, RequestCaller};
use crate::catalog::ImageId;
use crate::http::error::{HttpFailure, Result};
use crate::http::extract::{QueryParameters, RequestApp};
use crate::seed::ValidationProfile;
use crate::seed::validate::{ValidationReport, ValidationRules};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RulesQuery {
    #[serde(default)]
    profile: ValidationProfile,
    #[serde(default)]
    strict: bool,
}

/// The manifest in the body, or the image that it names.
pub(super) struct ValidationBody(ManifestSource);

/// An object with exactly one of these keys is no manifest but names an image. Anything else is validated as it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum NamedImage<'a> {
    #[serde(borrow)]
    Image(&'a RawValue),
    #[serde(borrow)]
    ImageId(&'a RawValue),
}

pub(super) async fn validate(
    RequestApp(app): RequestApp,
    caller: RequestCaller,
    QueryParameters(RulesQuery { profile, strict }): QueryParameters<RulesQuery>,
    ValidationBody(subject): ValidationBody,
) -> Result<Json<ValidationReport>> {
    Ok(Json(app.validate(&caller, subject, ValidationRules { profile, strict }).await?))
}

impl<S: Send + Sync> FromRequest<S> for ValidationBody {
    type Rejection = HttpFailure;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        if is_form(request.headers()) {
            return Ok(Self(ManifestSource::Manifest(
                manifest_part(Multipart::from_request(request, state).await?).await?,
            )));
        }
        let body = Bytes::from_request(request, state).await?;
        let named = match serde_json::from_slice(&body) {
            Ok(NamedImage::Image(name)) => ManifestSource::Image(image(name)?),
            Ok(NamedImage::ImageId(id)) => ManifestSource::ImageId(ImageId(image_id(id)?)),
            Err(_) => ManifestSource::Manifest(body),
        };
        Ok(Self(named))
    }
}

fn image(value: &RawValue) -> Result<String> {
    match serde_json::from_str::<String>(value.get()) {
        Ok(name) if name.contains('\0') => unprocessable("\"image\" contains a NUL character"),
        Ok(name) => Ok(name),
        Err(_) => unprocessable("\"image\" must be a text: what `docker pull` takes"),
    }
}

fn image_id(value: &RawValue) -> Result<i64> {
    serde_json::from_str(value.get()).or_else(|_| unprocessable("\"imageId\" must be a number: the id of an image"))
}

fn is_form(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("multipart/form-data"))
}

/// The part named `manifest`, else the first file. All parts are read, so that a form that is too long is refused.
async fn manifest_part(mut form: Multipart) -> Result<Bytes> {
    let (mut manifest, mut file) = (None, None);
    while let Some(part) = form.next_field().await? {
        if part.name() == Some("manifest") && manifest.is_none() {
            manifest = Some(part.bytes().await?);
        } else if part.file_name().is_some() && file.is_none() {
            file = Some(part.bytes().await?);
        }
    }
    match manifest.or(file) {
        Some(text) => Ok(text),
        None => unprocessable("the form holds no manifest: send it as a part named `manifest`, or as a file"),
    }
}

fn unprocessable<T>(why: &str) -> Result<T> {
    Err(Error::Unprocessable(why.to_owned()).into())
}

impl From<MultipartRejection> for HttpFailure {
    fn from(_: MultipartRejection) -> Self {
        let why = "The Content-Type of the form has no boundary; let the HTTP client write this header";
        Error::Invalid(why.to_owned()).into()
    }
}
