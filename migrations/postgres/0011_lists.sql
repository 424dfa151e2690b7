-- Images by the moment at which their tag moved last: for lists and feeds.
CREATE INDEX images_changed ON images (changed_at, id);
