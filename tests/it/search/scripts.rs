//! Scripts of writing, spellings, and Unicode normal forms.

use proptest::prelude::*;
use silo::catalog::{CatalogueView, SearchDoc};
use silo::search::{SearchIndex, SearchKind, folded};
use unicode_normalization::UnicodeNormalization as _;

use super::{Search as _, described, images, index, titled};

/// Jobs of other fields, so that words are rare, and typos are not tolerated for lack of results.
fn crowd() -> Vec<SearchDoc> {
    let words = "water line time series spectral multi ortho land cover sharpening pan dust point cloud mask level sea";
    let words: Vec<&str> = words.split(' ').collect();
    (1_000..1_060)
        .map(|id| {
            let at = id as usize;
            let word = |step: usize| words[(at * step) % words.len()];
            described(id, &format!("job-{id}"), &format!("Makes a {}, some {} and the {}.", word(3), word(5), word(7)))
        })
        .collect()
}

fn found(index: &SearchIndex, query: &str) -> Vec<i64> {
    let mut found = images(index, query);
    found.retain(|id| *id < 1_000);
    found.sort_unstable();
    found
}

#[test]
fn compounds_meet_in_every_spelling() {
    let groups: [&[&str]; 14] = [
        &["timeseries", "time-series", "time series", "Time–Series", "time\u{ad}series", "timeSeries", "time_series"],
        &["orthorectification", "ortho-rectification", "Ortho rectification", "ortho\u{2010}rectification"],
        &["multispectral", "multi-spectral", "multi spectral", "multi\u{200b}spectral", "ＭＵＬＴＩspectral"],
        &["waterline", "water line", "water-line", "waterLine"],
        &["pansharpening", "pan-sharpening", "pan sharpening"],
        &["landcover", "land cover", "land—cover", "landCover"],
        &["PM2.5", "pm25", "ＰＭ２．５", "PM 2.5", "PM₂.₅"],
        &["U.S.G.S.", "USGS", "u.s.g.s."],
        &["sentinel7", "Sentinel-7", "sentinel 7"],
        &["goes99", "GOES-99", "goes 99"],
        &["3D", "3-d", "3 d"],
        &["coregistration", "co-registration", "co registration"],
        &["O’Malley", "o'malley", "omalley", "OʼMalley"],
        &["rock’n’roll", "rock'n'roll"],
    ];
    let spellings = groups.iter().flat_map(|group| group.iter());
    let docs =
        (0..).zip(spellings).map(|(id, spelling)| titled(id, &format!("x{id}"), &format!("Some {spelling} here")));
    let index = index(&[docs.collect(), crowd()].concat());
    let mut first = 0;
    for group in groups {
        let ids: Vec<i64> = (first..).take(group.len()).collect();
        for query in group {
            assert_eq!(found(&index, query), ids, "{query} finds {group:?}");
        }
        first += group.len() as i64;
    }
}

#[test]
fn what_is_written_apart_elsewhere_is_no_compound() {
    let index = index(&[
        titled(1, "a", "Map for estimates"),
        titled(2, "b", "Line of the water"),
        titled(3, "c", "Changes in SAR pictures"),
        titled(4, "d", "Red river"),
        titled(5, "e", "Version 1.2.5"),
    ]);
    for (query, ids) in [("forest", &[][..]), ("waterline", &[]), ("insar", &[]), ("river red", &[4]), ("1.2.5", &[5])]
    {
        assert_eq!(found(&index, query), ids, "{query}");
    }
}

#[test]
fn every_script_is_searched() {
    let docs = [
        titled(1, "a", "衛星画像から海氷を検出する処理"),
        described(2, "b", "利用哨兵影像检测滑坡与泥石流"),
        titled(3, "c", "위성영상 홍수탐지"),
        titled(4, "d", "การจำแนกพื้นที่ปลูกข้าวจากภาพดาวเทียม"),
        titled(5, "e", "Sentinel-2画像の処理"),
        titled(6, "f", "ＮＤＶＩ リモート・センシング"),
        titled(7, "g", "Обнаружение лесных пожаров"),
        titled(8, "h", "Ανίχνευση πλημμύρας"),
        titled(9, "i", "كَشْفُ الفيضانات"),
        titled(10, "j", "מיפוי שיטפונות של צה״ל"),
        titled(11, "k", "बाढ़ मानचित्रण"),
        titled(12, "l", "ການຈັດແຈງທີ່ດິນ"),
        titled(13, "m", "ការធ្វើផែនទី"),
        titled(14, "n", "ရေကြီးမှုမြေပုံ"),
        titled(15, "o", "İstanbul IĞDIR kıyı"),
        titled(16, "p", "Eﬃcient Straße Œuvre Łódź Đồng"),
        titled(17, "q", "میخواهم یک نقشه"),
        titled(18, "r", "ガス検知"),
    ];
    let index = index(&docs);
    for (query, ids) in [
        ("海氷", &[1][..]),
        ("氷", &[1]),
        ("処理", &[1, 5]),
        ("検出する", &[1]),
        ("海氷 処理", &[1]),
        ("海氷-処理", &[1]),
        ("title:海氷 -滑坡", &[1]),
        ("処理 -海氷", &[5]),
        ("\"画像から\"", &[1]),
        ("\"画像の\"", &[5]),
        ("滑坡", &[2]),
        ("哨兵滑坡", &[2]),
        ("홍수", &[3]),
        ("홍수 탐지", &[3]),
        ("영상홍수", &[3]),
        ("위성영상", &[3]),
        ("ดาวเทียม", &[4]),
        ("ข้าว", &[4]),
        ("Sentinel-2画像", &[5]),
        ("sentinel 画像", &[5]),
        ("ｎｄｖｉ", &[6]),
        ("リモートセンシング", &[6]),
        ("ﾘﾓｰﾄ･ｾﾝｼﾝｸﾞ", &[6]),
        ("пожар", &[7]),
        ("ЛЕСНЫЕ ПОЖАРЫ", &[7]),
        ("ΠΛΗΜΜΥΡΑΣ", &[8]),
        ("πλημμυρ", &[8]),
        ("كشف", &[9]),
        ("فيضانات", &[9]),
        ("שיטפונות", &[10]),
        ("צהל", &[10]),
        ("צה\"ל", &[10]),
        ("बाढ", &[11]),
        ("मानचित्रण", &[11]),
        ("ທີ່ດິນ", &[12]),
        ("ផែនទី", &[13]),
        ("မြေပုံ", &[14]),
        ("iğdır", &[15]),
        ("ISTANBUL kiyi", &[15]),
        ("efficient", &[16]),
        ("strasse œuvre", &[16]),
        ("lodz dong", &[16]),
        ("می\u{200c}خواهم", &[17]),
        ("نقشه", &[17]),
        ("ガス", &[18]),
        ("ｶﾞｽ", &[18]),
        ("カス", &[]),
        ("氷海", &[]),
    ] {
        for query in [query.nfc().collect::<String>(), query.nfd().collect()] {
            assert_eq!(found(&index, &query), ids, "{query}");
        }
    }
}

#[test]
fn where_nobody_has_all_of_a_text_without_blanks_the_most_comes_first() {
    let index = index(&[
        titled(1, "a", "海氷の監視"),
        titled(2, "b", "海氷密接度の推定"),
        titled(3, "c", "森林の監視"),
        titled(4, "d", "密度と接度と氷密"),
    ]);
    let found = images(&index, "森林と海氷密接度を推定");
    assert_eq!(found[0], 2, "{found:?}");
    assert_eq!(found.len(), 4, "any part of it will do: {found:?}");
}

#[test]
fn signs_of_languages_are_words() {
    let index = index(&[
        titled(1, "a", "Filter in C"),
        titled(2, "b", "Filter in C++"),
        titled(3, "c", "Filter in C#"),
        titled(4, "d", "C＋＋17 library"),
        titled(5, "e", "F♯ port"),
    ]);
    for (query, ids) in [
        ("c++", &[2, 4][..]),
        ("C++17", &[4]),
        ("filter c++", &[2]),
        ("Ｃ＋＋", &[2, 4]),
        ("c#", &[3]),
        ("f#", &[5]),
        ("c#+f#", &[3, 5]),
        ("filter -c++ -c#", &[1]),
        ("g++", &[]),
    ] {
        assert_eq!(found(&index, query), ids, "{query}");
    }
    assert!(found(&index, "c").len() >= 4, "it is in all of them");
    let without = super::index(&[titled(1, "a", "Filter in C")]);
    assert_eq!(found(&without, "c++"), [1], "better than nothing");
}

#[test]
fn typos_beside_other_scripts_are_put_up_with() {
    let index = index(&[titled(1, "a", "Sentinel画像の分類"), titled(2, "b", "Größenverteilung")]);
    for (query, ids) in [("Sentinl 画像", &[1][..]), ("Gro\u{308}ssenverteilnug", &[2])] {
        assert_eq!(found(&index, query), ids, "{query}");
        assert!(index.search(query, SearchKind::Image, 10, None).unwrap().did_you_mean.is_some(), "{query}");
    }
    let index = super::index(&[titled(1, "a", "Pan-sharpening"), titled(2, "b", "Pansharpening")]);
    for query in ["pan-sharpning", "pan sharpning", "pansharpning"] {
        assert_eq!(found(&index, query), [1, 2], "{query}");
    }
}

#[test]
fn facets_have_one_form() {
    let docs: Vec<SearchDoc> = [(1, "Zürich"), (2, "Zu\u{308}rich")]
        .map(|(id, tag)| SearchDoc { tags: vec![tag.to_owned()], ..titled(id, "a", "b") })
        .into();
    let index = index(&docs);
    for value in ["Zürich", "Zu\u{308}rich"] {
        let request = silo::search::SearchRequest {
            text: None,
            kind: SearchKind::Image,
            order: silo::search::SearchOrder::Relevance,
            filters: vec![(silo::search::SearchFacet::Tag, value.to_owned())],
            limit: 10,
            after: None,
            count: true,
            mark: false,
        };
        let found = index.find(&request, &CatalogueView::whole());
        let found = found.expect("answered");
        assert_eq!(found.total, 2, "{value}");
        let (_, tags) = &found.facets[silo::search::SearchFacet::Tag as usize];
        assert_eq!(tags.iter().map(|tag| (tag.value.as_str(), tag.count)).collect::<Vec<_>>(), [("Zürich", 2)]);
    }
}

#[test]
fn a_text_is_found_by_itself_whatever_its_normal_form() {
    let text = "([a-zA-Z0-9äöüßÉİıﬁﬂＡ-ｚ²½]{1,9}|[а-яёЁйЙ]{1,9}|[α-ωάς]{1,9}|[ء-ي\u{64b}-\u{652}٠-٩]{1,9}|[א-ת\u{5b0}-\u{5bc}]{1,9}\
                |[अ-हा-्\u{93c}]{1,9}|[ก-ฮะ-ู่-์ำ]{1,9}|[가-힣ㄱ-ㅎ]{1,6}|[ぁ-んァ-ヶｱ-ﾝﾞー々一-龯]{1,9}|[a-c海氷9]{1,6}|[က-အာ-်]{1,6}|[ក-ឳា-្]{1,6}) ?";
    let text = prop::string::string_regex(&format!("({text}){{1,9}}")).expect("a pattern");
    proptest!(ProptestConfig::with_cases(96), |(text in text)| {
        let index = index(&[titled(1, "x", &text), titled(2, "y", "Something else")]);
        let has_words = folded(&text).contains(char::is_alphanumeric);
        let forms = [text.nfc().collect::<String>(), text.nfd().collect(), text.nfkc().collect(), text.nfkd().collect()];
        for form in forms.iter().filter(|_| has_words) {
            prop_assert!(images(&index, form).contains(&1), "{form:?}");
            prop_assert_eq!(images(&index, &format!("title:\"{form}\"")), [1], "{:?}", form);
        }
    });
}
