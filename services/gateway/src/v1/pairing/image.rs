//! `GET /v1/instances/{instance}/pairing/qr.png`, `.svg`: the current QR code as a picture; 404 `no_qr_code` while there is
//! none.

use crate::{
    auth::Reader,
    openapi::Problems,
    parameters::Id,
    problem::{Problem, Result},
    state::App,
    v1::pairing::status,
};
use axum::{
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use fast_qr::{
    ECL, QRBuilder, QRCode,
    convert::{Builder as _, svg::SvgBuilder},
};
use image::{ExtendedColorType, ImageEncoder as _, codecs::png::PngEncoder};
use warren_domain::{ErrorKind, InstanceId};

/// The quiet zone around the code, modules: the standard asks for 4.
const MARGIN: usize = 4;
/// Width of one module, pixels.
const SCALE: usize = 8;

/// The current QR code as PNG.
#[utoipa::path(
    get,
    path = "/v1/instances/{instance}/pairing/qr.png",
    tag = "pairing",
    operation_id = "pairingQrPng",
    params(("instance" = InstanceId, Path)),
    responses((status = 200, description = "The picture.", body = Vec<u8>, content_type = "image/png"), Problems)
)]
pub(crate) async fn png(State(app): State<App>, caller: Reader, Id(id): Id<InstanceId>) -> Result<Response> {
    let text = code(&app, &caller, id).await?;
    let picture = as_png(&draw(&text)?)?;
    Ok(([(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, "no-store")], picture).into_response())
}

/// The current QR code as SVG.
#[utoipa::path(
    get,
    path = "/v1/instances/{instance}/pairing/qr.svg",
    tag = "pairing",
    operation_id = "pairingQrSvg",
    params(("instance" = InstanceId, Path)),
    responses((status = 200, description = "The picture.", body = String, content_type = "image/svg+xml"), Problems)
)]
pub(crate) async fn svg(State(app): State<App>, caller: Reader, Id(id): Id<InstanceId>) -> Result<Response> {
    let text = code(&app, &caller, id).await?;
    let picture = SvgBuilder::default().margin(MARGIN).to_str(&draw(&text)?);
    Ok(([(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "no-store")], picture).into_response())
}

async fn code(app: &App, caller: &Reader, id: InstanceId) -> Result<String> {
    status(app, caller.tenant, id).await?.qr.ok_or_else(|| {
        Problem::new(ErrorKind::NotFound, "no_qr_code", "There is no QR code now: start a pairing, and look at its state.")
    })
}

fn draw(text: &str) -> Result<QRCode> {
    // WhatsApp's own clients use the lowest level: the text is long.
    QRBuilder::new(text).ecl(ECL::L).build().map_err(|error| Problem::internal(format!("{error:?}")))
}

fn as_png(code: &QRCode) -> Result<Vec<u8>> {
    let side = (code.size + 2 * MARGIN) * SCALE;
    let mut pixels = vec![u8::MAX; side * side];
    for (line, row) in pixels.chunks_exact_mut(side).enumerate() {
        for (column, pixel) in row.iter_mut().enumerate() {
            let module = |at: usize| (at / SCALE).checked_sub(MARGIN).filter(|at| *at < code.size);
            let (Some(y), Some(x)) = (module(line), module(column)) else { continue };
            if code.data.get(y * code.size + x).is_some_and(|module| module.value()) {
                *pixel = 0;
            }
        }
    }
    let side = u32::try_from(side).map_err(Problem::internal)?;
    let mut png = Vec::new();
    PngEncoder::new(&mut png).write_image(&pixels, side, side, ExtendedColorType::L8).map_err(Problem::internal)?;
    Ok(png)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_picture_shows_the_code() {
        let code = draw(&"2@".repeat(120)).unwrap();
        let picture = image::load_from_memory(&as_png(&code).unwrap()).unwrap().into_luma8();
        assert_eq!(picture.width() as usize, (code.size + 2 * MARGIN) * SCALE);
        let at =
            |x: usize, y: usize| picture.get_pixel(((x + MARGIN) * SCALE + 3) as u32, ((y + MARGIN) * SCALE + 3) as u32).0;
        for y in 0..code.size {
            for x in 0..code.size {
                assert_eq!(at(x, y) == [0], code.data.get(y * code.size + x).unwrap().value());
            }
        }
        assert_eq!(picture.get_pixel(0, 0).0, [255]);
    }
}
