-- How well files are clustered: a look-up of one value reads `overlap_depth` files on average, `hit_fraction` of all.
SELECT schema_name, table_name, column_name, hit_fraction, overlap_depth, files FROM facts.clustering
